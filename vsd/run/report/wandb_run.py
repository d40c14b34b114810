"""One Weights & Biases run per run folder: offline without a login, found again on resume, always finished."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(*, folder: str, project: str, name: str | None = None, **options: Any) -> WandbLogger | None:
    """The logger of the run in `folder`; its id is kept there, so that a resumed job goes on in the same run. None, and
    nothing is written, where W&B is turned off (WANDB_MODE=disabled, `wandb disabled`).

    It is online only after a login. The key itself never enters a config.
    """
    import wandb

    if _is_disabled():
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(quiet=True)
    if not has_login():
        settings.mode = "offline"  # and not WandbLogger(offline=True), which sets a variable that W&B has read already
    return WandbLogger(
        project=project,
        name=name,
        save_dir=folder,
        id=_run_id(Path(folder) / "wandb_id.txt"),
        resume="allow",
        settings=settings,
        **options,
    )


def has_login() -> bool:
    """Whether W&B finds credentials: WANDB_API_KEY, an identity token, or what `wandb login` left. Asks no network."""
    import wandb
    from wandb.sdk import wandb_setup

    if os.environ.get("WANDB_API_KEY"):
        return True
    settings = wandb_setup.singleton().settings
    if settings.api_key or settings.identity_token_file:
        return True
    try:
        from wandb.sdk.lib.wbauth import read_netrc_auth
    except ImportError:  # older versions
        from wandb.sdk.lib.apikey import api_key

        return api_key(settings) is not None
    with suppress(wandb.errors.AuthenticationError):  # a key of the wrong form
        return read_netrc_auth(host=settings.base_url) is not None
    return False


def _is_disabled() -> bool:
    from wandb.sdk import wandb_setup

    return (os.environ.get("WANDB_MODE") or wandb_setup.singleton().settings.mode) == "disabled"


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
