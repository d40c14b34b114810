"""A user's own videos, all asked the same question, or those of a list beside them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsd.data.base import as_text, expanded
from vsd.data.questions import Questions
from vsd.data.table import READERS
from vsd.types import Sample
from vsd.utils.validation import shortened

log = logging.getLogger(__name__)

_NAMES = "3gp asf avi f4v flv gif h264 h265 m2ts m4v mjpeg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv y4m"
EXTENSIONS = frozenset(f".{name}" for name in _NAMES.split())


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One video file, whatever its name, or every video under a folder, by name. The id is the path in the folder.

    Files and folders in it whose names begin with a dot are left out. A folder with a questions.csv (or .jsonl, .json,
    .tsv; see `vsd.data.questions.Questions`) is asked what that says; `question` is for its lines without one.
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
            listed = [file for suffix in READERS if (file := root / f"questions{suffix}").is_file()]
            if listed:
                log.info("data.path: asked is what %s says", listed[0])
                return Questions(path=str(listed[0]), question=self.question).samples()
            named = sorted(file for file in _all_in(root) if file.suffix.lower() in EXTENSIONS)
            files = [file for file in named if file.is_file()]
            if not files:
                known = " ".join(sorted(EXTENSIONS))
                raise ValueError(f"data.path: a folder must hold a video ({known}), got {self.path!r}")
            if others := [file for file in named if not file.is_file()]:
                log.warning(
                    "data.path: left out, since they are no files: %s", shortened([file.name for file in others])
                )
            return [self._sample(file, file.relative_to(root).as_posix()) for file in files]
        if root.is_file():
            return [self._sample(root, root.name)]
        raise ValueError(f"data.path: must be a video file or a folder of videos, got {self.path!r}")

    def _sample(self, file: Path, name: str) -> Sample:
        return Sample(id=name, video=str(file), question=self.question)


def _all_in(root: Path) -> Iterator[Path]:
    """All names below a folder, also in folders that are linked into it, but for those that begin with a dot."""
    entered = set[str]()
    for folder, folders, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in entered:
            folders.clear()  # a link to a folder above
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in (*folders, *files) if not name.startswith("."))
