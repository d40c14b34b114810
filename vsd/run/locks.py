"""Locks for jobs that share a folder. A job that ends, however it ends, lets go of what it held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from vsd.run import disk

CLAIM_S = 5.0  # a job that was requeued may meet its own last breath


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


def claimed(folder: Path, name: str, *, field: str) -> AbstractContextManager[None]:
    """What is held within the returned context: the lock of this name, whose file is gone again behind it. Raises
    ValueError, which names the field, if somebody holds it already, for longer than a job takes to end."""
    lock = FileLock(_file(folder, name), timeout=CLAIM_S)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"{field}: must have no other job at work on it, got one in {str(folder)!r}") from None
    return _released(lock)


@contextmanager
def _released(lock: BaseFileLock) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
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
