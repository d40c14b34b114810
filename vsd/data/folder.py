"""A user's own videos, all asked the same question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsd.data.base import as_text
from vsd.types import Sample

_NAMES = "3gp asf avi f4v flv gif h264 h265 m2ts m4v mjpeg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv y4m"
EXTENSIONS = frozenset(f".{name}" for name in _NAMES.split())


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One video file, whatever its name, or every video under a folder, by name. The id is the path in the folder.

    Files and folders in it whose names begin with a dot are left out.
    """

    path: str
    question: str

    def __post_init__(self) -> None:
        for name in ("path", "question"):  # data.question=42 is a number only to YAML
            object.__setattr__(self, name, as_text(f"data.{name}", getattr(self, name)))

    def samples(self) -> list[Sample]:
        """One sample per video. Raises ValueError if the path does not exist or holds no video."""
        root = expanded(self.path)
        if root.is_dir():
            files = sorted(file for file in root.rglob("*") if _is_video(file, root))
            if not files:
                known = " ".join(sorted(EXTENSIONS))
                raise ValueError(f"data.path: a folder must hold a video ({known}), got {self.path!r}")
            return [self._sample(file, file.relative_to(root).as_posix()) for file in files]
        if root.exists():
            return [self._sample(root, root.name)]
        raise ValueError(f"data.path: must be a video file or a folder of videos, got {self.path!r}")

    def _sample(self, file: Path, name: str) -> Sample:
        return Sample(id=name, video=str(file), question=self.question)


def expanded(path: str) -> Path:
    """The path with ~ replaced. Raises ValueError for the home of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"data.path: must be in a home folder that is known, got {path!r}") from None


def _is_video(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return not hidden and file.suffix.lower() in EXTENSIONS and file.is_file()
