"""Whether Weights & Biases is on, off or offline here. Asks no network."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Literal

from vsd.utils.validation import first_line

Mode = Literal["online", "offline", "disabled"]


def mode() -> Mode:
    """As WANDB_MODE, `wandb disabled` and `wandb offline` say; without a login offline. Raises ValueError where W&B's
    own settings are wrong."""
    import wandb
    from wandb.sdk import wandb_setup

    try:
        wandb.setup(wandb.Settings(silent=True, quiet=True))  # the first settings say what reaches the screen
    except Exception as error:
        raise ValueError(f"its settings cannot be used: {first_line(error)}") from error
    said = os.environ.get("WANDB_MODE") or wandb_setup.singleton().settings.mode
    if said == "disabled":
        return "disabled"
    return "online" if said not in ("offline", "dryrun") and has_login() else "offline"


def has_login() -> bool:
    """Whether W&B finds credentials: WANDB_API_KEY, an identity token, or what `wandb login` left."""
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


def server() -> str:
    """The server's address."""
    from wandb.sdk import wandb_setup

    return str(os.environ.get("WANDB_BASE_URL") or wandb_setup.singleton().settings.base_url)
