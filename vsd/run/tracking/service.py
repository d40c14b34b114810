"""W&B's own run and the process that serves it: opened, and ended even if it does not want to."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

_KILL_S = 1.0
_FOLDERS = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")  # else below the home folder, which another machine does not see
_CHOSEN = {name for name in _FOLDERS if name in os.environ}  # by the user


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a W&B run begins with."""

    folder: Path
    id: str
    name: str
    project: str
    entity: str | None
    group: str | None
    job_type: str | None
    tags: Sequence[str]
    config: Mapping[str, Any]


def start(opening: Opening, mode: Literal["online", "offline"]) -> Any:
    """A run with this id, from its beginning: what the server has under it is written over. Its files lie in the
    folder, and nothing is said on the screen. Raises what wandb does."""
    import wandb

    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    opening.folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {name: str(opening.folder.absolute() / "wandb") for name in _FOLDERS if name not in _CHOSEN}
    settings = wandb.Settings(
        mode=mode, silent=True, quiet=True, console="off", disable_git=True, save_code=False, init_timeout=30,
        disable_job_creation=True,
    )  # fmt: skip
    agent = wandb.setup().settings.sweep_id  # which has named the run, and where it belongs
    named: dict[str, Any] = {} if agent else {"project": opening.project, "entity": opening.entity, "id": opening.id}
    return wandb.init(
        **named,
        dir=str(opening.folder),
        name=opening.name,
        group=opening.group,
        job_type=opening.job_type,
        tags=list(opening.tags) or None,
        config=dict(opening.config),
        reinit="create_new",
        settings=settings,
    )


def abandon() -> None:
    """End the process that serves W&B, without waiting for what it has not sent; the next run starts another one."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.name().startswith("wandb-core"):
                child.terminate()
                try:
                    child.wait(_KILL_S)
                except psutil.TimeoutExpired:
                    child.kill()
    # It is gone, so this can only fail; and it must not wait for it.
    closing = threading.Thread(target=_forget, daemon=True, name="vsd-wandb")
    closing.start()
    closing.join(_KILL_S)


def _forget() -> None:
    import wandb

    with suppress(BaseException):
        wandb.teardown()
