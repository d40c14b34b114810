"""Locks for jobs that share a folder. A job that ends, however it ends, lets go of what it held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vsd.run import disk


@contextmanager
def locked(folder: Path, name: str, *, wait_s: float = -1) -> Iterator[None]:
    """Within, nobody else is: waits for whoever holds the lock of this name, at most `wait_s` seconds if that is not
    negative. Raises ValueError if it is held for longer."""
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_file(folder, name), timeout=wait_s)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"job {name}: must be alone in its folder, got another at work ({lock.lock_file})") from None
    try:
        yield
    finally:
        lock.release()


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
