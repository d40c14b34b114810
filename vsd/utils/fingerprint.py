"""What identifies a setting, a file or a checkpoint, so that results are reused for the very same ones alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def fingerprint(value: Any) -> str:
    """A short hash of JSON-ready values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def file_identity(path: str | Path) -> str:
    """Path, size and time of change of a file; the mere path where there is no file (a hub name)."""
    stamp = file_stamp(path)
    return f"{Path(path).resolve()}:{stamp}" if stamp else str(path)


def file_stamp(path: str | Path) -> str:
    """Size and time of change of a file, by which a replaced one is known; empty where there is no file."""
    file = Path(path)
    if not file.is_file():
        return ""
    stat = file.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def weights_identity(path: str) -> list[str]:
    """What identifies a checkpoint: its files if it is a folder (see `file_identity`), else its hub name."""
    folder = Path(path)
    return [file_identity(file) for file in sorted(folder.iterdir())] if folder.is_dir() else [path]
