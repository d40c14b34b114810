"""Locks for jobs that share a folder. A job that ends, however it ends, lets go of what it held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vsd.run import disk


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Within, nobody else is: waits for whoever holds the lock of this name."""
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(_file(folder, name)):
        yield


def is_locked(folder: Path, name: str) -> bool:
    """Whether some job holds the lock of this name."""
    if not folder.is_dir():
        return False
    try:
        with FileLock(_file(folder, name), blocking=False):
            return False
    except Timeout:
        return True


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.lock"
