"""What is written to disk: whole or not at all, and with a reason that names the file when it cannot be."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

LEAST = 1 << 16  # bytes that a folder must take: about the files of a run beside its samples
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of these nobody but the disk is the cause


class CannotWrite(RuntimeError):  # noqa: N818 - an outcome
    """A file could not be written: a full disk, or one that takes no more files. What was written before stays."""

    def __init__(self, file: str | Path, error: OSError) -> None:
        super().__init__(f"{file}: must be written, got {error.strerror or error}")


@contextmanager
def writing(file: str | Path) -> Iterator[None]:
    """Within, an OSError means that this file could not be written."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(file, error) from error


@contextmanager
def room(folder: str | Path) -> Iterator[None]:
    """Within, whoever finds the disk full or read-only could not write; most work in this folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise CannotWrite(error.filename or folder, error) from error


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all; two jobs may write it at once. Raises CannotWrite."""
    part = file.with_suffix(f".{uuid.uuid4().hex[:12]}.part")
    try:
        with writing(file):
            part.write_text(text, encoding="utf-8", errors="backslashreplace")  # half characters
            part.replace(file)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """The same, of a JSON object."""
    write_whole(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def check_folder(path: Any, *, field: str, make: bool = True) -> None:
    """Refuse a folder that takes no files; it is made if it is not there, or without `make` the one above it tried. To
    try is the only way to know: permissions say nothing of a full disk, a network drive or what root may do."""
    rule = f"{field}: must be a folder that can be written to, got {path if path is None else str(path)!r}"
    if not isinstance(path, str | Path) or not str(path).strip():
        raise ValueError(rule)
    try:
        tried = Path(path) if make else next(up for up in (Path(path), *Path(path).absolute().parents) if up.exists())
        if make:
            tried.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=tried) as file:
            file.write(bytes(LEAST))  # a full disk may still give a file without contents
    except OSError as error:
        raise ValueError(f"{rule} ({error.strerror})") from error
