"""One Weights & Biases run per run folder: offline without an API key, found again on resume, always finished."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(*, folder: str, project: str, name: str | None = None, **options: Any) -> WandbLogger:
    """The logger of the run in `folder`; its id is kept there, so that a resumed job goes on in the same run.

    It is online only if WANDB_API_KEY is set. The key itself never enters a config.
    """
    import wandb

    Path(folder).mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        project=project,
        name=name,
        save_dir=folder,
        id=_run_id(Path(folder) / "wandb_id.txt"),
        offline=not os.environ.get("WANDB_API_KEY"),
        resume="allow",
        settings=wandb.Settings(quiet=True),
        **options,
    )


def finish(logger: WandbLogger) -> str:
    """End the run, or the next job of this process would log into it. Returns how to look at it."""
    import wandb

    run = wandb.run
    if run is None:
        return ""
    # run.dir is .../wandb/offline-run-TIME-ID/files
    folder = Path(run.dir).parent
    url = None if run.offline else run.url
    run.finish()
    look = f"wandb leet {folder}"
    return f"{look}   or   {url}" if url else f"{look}   upload: wandb sync {folder}"


def _run_id(file: Path) -> str:
    if file.is_file():
        return file.read_text(encoding="utf-8").strip()
    run_id = uuid.uuid4().hex[:8]
    file.write_text(run_id + "\n", encoding="utf-8")
    return run_id
