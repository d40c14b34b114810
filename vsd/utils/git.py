"""What git says of a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, timeout_s: float = 60.0) -> str | None:
    """What the command prints; None if it fails, or there is no git. Names of files may hold any bytes."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        found = subprocess.run(command, capture_output=True, check=True, timeout=timeout_s).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return found.decode(errors="surrogateescape")
