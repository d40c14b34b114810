"""The working tree as it was when jobs were submitted: they import from a copy, whatever is edited meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import vsd
from vsd.run import disk
from vsd.utils.fingerprint import file_stamp
from vsd.utils.git import git

PACKAGE = Path(vsd.__file__).parent
FOLDER = ".code"
MARK = ".vsd-snapshot.json"
DATA = ("vsd/zoo/weights", "vsd/zoo/small_events/clips")
"""Linked to, not copied: bundled weights and clips are most of the tree, and a sample is known by its clip's path."""
RUNS = (".submitted", ".code", "multirun.yaml", "provenance.json")
"""What the folder of a sweep or of a run holds, the first two as folders."""
LARGEST = 16 << 20  # bytes of a file that is copied


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code that jobs run. `folder` is its snapshot, empty for an installed package, which is not copied. `digest`
    is of its contents, `commit`, `dirty` and `diff` say where it came from, `size` is in bytes. `left_out` are files
    too large to copy."""

    digest: str
    folder: str = ""
    commit: str | None = None
    dirty: bool = False
    diff: str = ""
    size: int = 0
    left_out: tuple[str, ...] = ()


def freeze(sweep: Path) -> Code:
    """Copy the checkout that vsd is imported from into the sweep's folder: its tracked files, and the untracked ones
    that git does not ignore and that no run has written. The same tree is kept once. What is edited meanwhile is in the
    copy or not: its digest is its own. Raises CannotWrite."""
    root = checkout(PACKAGE)
    if root is None:
        return Code(digest=digest_of_package())
    folder = sweep.absolute() / FOLDER
    part = folder / f".{uuid.uuid4().hex[:12]}.part"
    try:
        with disk.writing(folder):
            names, left_out = _copy(root, _names(root, sweep.resolve()), part)
            digest = _digest(part, names)
            diff = _diff(root, names)
            code = Code(
                digest=digest,
                folder=str(folder / digest),
                commit=(git(root, "rev-parse", "HEAD") or "").strip() or None,
                dirty=bool(diff or left_out),
                diff=diff,
                size=sum((part / name).lstat().st_size for name in names),
                left_out=tuple(left_out),
            )
            if not (folder / digest).is_dir():
                told = {**asdict(code), "names": names}
                del told["diff"]
                (part / MARK).write_text(json.dumps(told, indent=2), encoding="utf-8")
                part.rename(folder / digest)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return code


def checkout(package: Path) -> Path | None:
    """The root of the git checkout that this package is a part of; None for one that is installed."""
    found = (git(package, "rev-parse", "--show-toplevel") or "").strip()
    init = package / "__init__.py"
    if not found or git(package, "ls-files", "--error-unmatch", str(init)) is None:
        return None
    return Path(found) if (Path(found) / "vsd").is_dir() else None


def snapshot_of(package: Path) -> dict[str, Any] | None:
    """What is known of the snapshot that this package lies in; None elsewhere."""
    try:
        told: Any = json.loads((package.parent / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def current_digest() -> str:
    """The digest of the code that this process has imported, as it is on disk now."""
    told = snapshot_of(PACKAGE)
    return digest_of_package() if told is None else _digest(PACKAGE.parent, told["names"])


def digest_of_package() -> str:
    """That of an installed package: its Python and YAML files."""
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".yaml") and path.is_file()]
    return _hashed(PACKAGE, sorted(path.relative_to(PACKAGE).as_posix() for path in files), ())


def _digest(root: Path, names: Sequence[str]) -> str:
    """Of the contents of these files, and of size and time of those that are linked to."""
    linked = [path for name in DATA for path in sorted((root / name).rglob("*"))]
    return _hashed(root, sorted(names), [f"{path.relative_to(root)}:{file_stamp(path)}" for path in linked])


def _hashed(root: Path, names: Sequence[str], more: Iterable[str]) -> str:
    found = hashlib.sha256()
    for name in names:
        file = root / name
        content = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    found.update("\0".join(more).encode())
    return found.hexdigest()[:12]


def _names(root: Path, sweep: Path) -> list[str]:
    """The files to copy, in order."""
    tracked, others = (_listed(root, option) for option in ("--cached", "--others"))
    own, known = (
        (sweep.relative_to(root.resolve()) if sweep.is_relative_to(root.resolve()) else None),
        dict[Path, bool](),
    )
    names = {*tracked, *(name for name in others if not _is_of_run(root, Path(name).parent, own, known))}
    names = {name for name in names if (root / name).is_file() or (root / name).is_symlink()}
    return sorted(name for name in names if not name.startswith(tuple(f"{data}/" for data in DATA)))


def _listed(root: Path, option: str) -> list[str]:
    found = git(root, "ls-files", "-z", option, "--exclude-standard") or ""
    return [name for name in found.split("\0") if name]


def _is_of_run(root: Path, folder: Path, sweep: Path | None, known: dict[Path, bool]) -> bool:
    """Whether this folder of the checkout is, or lies in, the sweep's or that of another run."""
    if folder == Path():
        return False
    if folder not in known:
        known[folder] = (
            folder == sweep
            or folder.name in RUNS[:2]
            or any((root / folder / name).exists() for name in RUNS)
            or _is_of_run(root, folder.parent, sweep, known)
        )
    return known[folder]


def _diff(root: Path, names: Sequence[str]) -> str:
    """What differs from the commit, untracked files by name."""
    copied = frozenset(names)
    new = "".join(f"new, in the snapshot alone: {name}\n" for name in _listed(root, "--others") if name in copied)
    return (git(root, "diff", "HEAD") or "") + new


def _copy(root: Path, names: Sequence[str], part: Path) -> tuple[list[str], list[str]]:
    """Copy these files, and link to weights and clips. Returns what was copied, and what is too large; a file that
    vanishes meanwhile is neither."""
    earlier = [path for path in part.parent.glob("*") if path.is_dir() and path.suffix != ".part"]
    copied, too_large = list[str](), list[str]()
    part.mkdir(parents=True)
    for name in names:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            large = not (root / name).is_symlink() and (root / name).stat().st_size > LARGEST
            if not large:
                _copy_file(root / name, part / name, [each / name for each in earlier])
            (too_large if large else copied).append(name)
    for name in DATA:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).symlink_to((root / name).resolve())
    return copied, too_large


def _copy_file(source: Path, target: Path, earlier: Iterable[Path]) -> None:
    """What an earlier snapshot of the sweep holds unchanged is linked to, where that can be: nobody edits it."""
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
        return
    same = next((each for each in _regular(earlier) if each.read_bytes() == source.read_bytes()), None)
    if same is not None:
        with suppress(OSError):  # a file system without hard links, or with too many to this file
            os.link(same, target)
            return
    shutil.copy2(source, target)


def _regular(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and not path.is_symlink())
