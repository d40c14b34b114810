"""A hub name → a folder on this machine, or one line that says why there is none, within seconds.

The hub's own client tries for minutes to reach a network that is not there. So it is asked once whether the hub
answers; if not, what the cache holds is taken.
"""

from __future__ import annotations

from functools import cache
from threading import Thread
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but exported implicitly

from vsd.utils.validation import first_line

REPLY_S = 5.0  # for the hub to say what it knows of a name
_SMALL = (".json", ".jinja", ".txt", ".model")  # configuration, tokenizer, processor, the index of the weights
_WEIGHTS = (".safetensors", ".bin")


@cache
def fetch(name: str, *, field: str, weights: bool = False) -> str:
    """The folder of the cache that holds the checkpoint `name`, downloaded now as far as it is missing.

    Without `weights` only the small files are sure to be there. Raises ValueError if there is no such checkpoint, or if
    it is neither in the cache nor to be had.
    """
    known, reason = _ask(name, field)
    if known is None:
        return _cached(name, field, reason)
    files = [sibling.rfilename for sibling in known.siblings or () if "/" not in sibling.rfilename]
    wanted = [file for file in files if file.endswith(_SMALL) or (weights and file.endswith(_WEIGHTS))]
    if any(file.endswith(".safetensors") for file in wanted):
        wanted = [file for file in wanted if not file.endswith(".bin")]
    return str(snapshot_download(name, allow_patterns=wanted))


def _ask(name: str, field: str) -> tuple[Any, str]:
    """What the hub knows of the checkpoint, or None and why it did not answer."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise ValueError(f"{field}.path: must be a checkpoint folder or a hub name, got {name!r}") from None
    if constants.HF_HUB_OFFLINE:
        return None, "HF_HUB_OFFLINE is set"
    results: list[Any] = []

    def ask() -> None:
        try:
            results.append(HfApi().model_info(name, timeout=REPLY_S))
        except Exception as error:
            results.append(error)

    # A look-up of the host's name cannot be given a limit, so it is left behind in a thread.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REPLY_S)
    reply = results[0] if results else TimeoutError(f"no answer from {constants.ENDPOINT} within {REPLY_S:g} s")
    if isinstance(reply, GatedRepoError):
        rule = "must be open to you: accept its licence on the hub and set HF_TOKEN"
        raise ValueError(f"{field}.path: a checkpoint on the hub {rule}, got {name!r}") from reply
    if isinstance(reply, RepositoryNotFoundError):
        rule = "must be a checkpoint folder or a hub name that exists (a private one needs HF_TOKEN)"
        raise ValueError(f"{field}.path: {rule}, got {name!r}") from reply
    if isinstance(reply, Exception):
        return None, f"the hub cannot be reached ({first_line(reply)})"
    return reply, ""


def _cached(name: str, field: str, reason: str) -> str:
    try:
        return str(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError as error:
        cure = "unset HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "connect to the hub"
        raise ValueError(
            f"{field}.path: {name!r} must be a checkpoint folder or a hub name that can be read from here, got a name "
            f"that {constants.HF_HUB_CACHE} does not hold, and {reason}: {cure}, set HF_HOME to a cache that holds it, "
            "or give a local folder"
        ) from error
