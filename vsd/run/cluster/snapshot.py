"""The working tree as it was when jobs were submitted: they import from a copy, whatever is edited meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import vsd
from vsd.run import disk
from vsd.utils.fingerprint import file_stamp

PACKAGE = Path(vsd.__file__).parent
FOLDER = ".code"
MARK = ".vsd-snapshot.json"
DATA = ("vsd/zoo/weights", "vsd/zoo/small_events/clips")
"""Linked to, not copied: bundled weights and clips are most of the tree, and a sample is known by its clip's path."""
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
    that git does not ignore. The same tree is copied once. Raises CannotWrite."""
    root = checkout(PACKAGE)
    if root is None:
        return Code(digest=digest_of_package())
    names, left_out = _names(root), list[str]()
    for name in [name for name in names if not (root / name).is_symlink() and (root / name).stat().st_size > LARGEST]:
        names.remove(name)
        left_out.append(name)
    digest = _digest(root, names)
    target = sweep.absolute() / FOLDER / digest
    commit = (_git(root, "rev-parse", "HEAD") or "").strip() or None
    changed = bool((_git(root, "status", "--porcelain") or "").strip())
    diff = _diff(root, names)
    size = sum((root / name).lstat().st_size for name in names)
    code = Code(
        digest=digest, folder=str(target), commit=commit, dirty=changed, diff=diff, size=size, left_out=tuple(left_out)
    )
    if not target.is_dir():
        _copy(root, names, target, code)
    return code


def checkout(package: Path) -> Path | None:
    """The root of the git checkout that this package is a part of; None for one that is installed."""
    found = (_git(package, "rev-parse", "--show-toplevel") or "").strip()
    init = package / "__init__.py"
    if not found or _git(package, "ls-files", "--error-unmatch", str(init)) is None:
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


def _names(root: Path) -> list[str]:
    """The files to copy, in order."""
    listed = (_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard") or "").split("\0")
    names = sorted({name for name in listed if (name and (root / name).is_file()) or (root / name).is_symlink()} - {""})
    return [name for name in names if not name.startswith(tuple(f"{data}/" for data in DATA))]


def _diff(root: Path, names: Sequence[str]) -> str:
    """What differs from the commit, untracked files by name."""
    others = (_git(root, "ls-files", "-z", "--others", "--exclude-standard") or "").split("\0")
    new = "".join(f"new, in the snapshot alone: {name}\n" for name in others if name in names)
    return (_git(root, "diff", "HEAD") or "") + new


def _copy(root: Path, names: Sequence[str], target: Path, code: Code) -> None:
    """Whole or not at all. What an earlier snapshot of the sweep holds unchanged is linked to: nobody edits it."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
    earlier = [path for path in target.parent.glob("*") if path.is_dir()] if target.parent.is_dir() else []
    try:
        with disk.writing(target):
            for name in names:
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                _copy_file(root / name, part / name, [each / name for each in earlier])
            for name in DATA:
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).symlink_to((root / name).resolve())
            told = {**asdict(code), "names": [*names]}
            del told["diff"]
            (part / MARK).write_text(json.dumps(told, indent=2), encoding="utf-8")
            part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy_file(source: Path, target: Path, earlier: Iterable[Path]) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
        return
    same = next((each for each in _regular(earlier) if each.read_bytes() == source.read_bytes()), None)
    if same is None:
        shutil.copy2(source, target)
    else:
        os.link(same, target)


def _regular(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and not path.is_symlink())


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *arguments]
        found = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return found.decode(errors="surrogateescape")
