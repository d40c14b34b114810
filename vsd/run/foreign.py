"""Where code that is not ours failed: of a method of somebody's own, the line that a person looks for."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))


def foreign_place(error: BaseException) -> str:
    """The innermost line outside of this package and of all that is installed, as "FILE:LINE, in FUNCTION"; empty where
    none was at work. What was raised from another error is looked through too."""
    while True:
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            file = Path(frame.filename)
            if file.is_file() and not _is_known(file.resolve()):
                return f"{file.name}:{frame.lineno}, in {frame.name}"
        if error.__cause__ is None:
            return ""
        error = error.__cause__


def _is_known(file: Path) -> bool:
    started = file.name in ("run.py", "vsd") and file.parent in (_PACKAGE.parent, *_LIBRARIES)
    return started or any(file.is_relative_to(folder) for folder in (_PACKAGE, *_LIBRARIES))
