"""What is wrong with a config, found before any weight is loaded.

Every refusal is a ValueError whose message names the field, the rule and the value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from vsd.data.base import parse_shard
from vsd.run.dry_run import gpus
from vsd.types import Dtype, Positions
from vsd.utils.validation import is_number, is_whole, require, require_number

if TYPE_CHECKING:
    from vsd.drafters import Drafter
    from vsd.executors import Executor
    from vsd.models import ModelInfo
    from vsd.parallelism import Parallelism
    from vsd.run.check_memory import Measure
    from vsd.types import Sample

METHODS = ("pruner", "drafter", "verifier", "parallelism", "executor")
"""The groups whose options are methods."""
WHOLE = "nothing"
"""What `without` leaves out of a whole method."""
_NO_PARTS = f"{WHOLE}, but with an experiment that lists its parts (experiment=hippo)"
_DIALS = ("dtype", "rope", "compile", "prefill_chunk", "attention", "quantisation", "device")


def check_dials(cfg: DictConfig) -> None:
    """Refuse dials out of range. Reads the config and nothing else."""
    for name, rule, holds in _RULES:
        value = OmegaConf.select(cfg, name)
        if not holds(value):
            raise ValueError(f"{name}: must be {rule}, got {value!r}")
    parse_shard(cfg.shard)
    if cfg.without not in (WHOLE, *cfg.parts):
        rule = f"a part of this experiment ({', '.join(cfg.parts)})" if cfg.parts else _NO_PARTS
        raise ValueError(f"without: must be {rule}, got {cfg.without!r}")
    for group in ("data", "target", "draft"):
        if group not in cfg:
            raise ValueError(f"{group}: an option must be chosen, got none ({group}=...)")
    if OmegaConf.is_missing(cfg.data, "path") or ("question" in cfg.data and cfg.data.path is None):
        raise ValueError("data.path: must be a video file or a folder of videos, got nothing (data.path=...)")
    if OmegaConf.is_missing(cfg.executor, "profile"):
        from vsd.executors.simulated import RULE

        raise ValueError(f"executor.profile: must be {RULE}, got nothing (executor.profile=...)")
    for role in ("target", "draft"):
        path = cfg[role].path
        if not isinstance(path, str) and (path is not None or role == "target"):
            raise ValueError(f"{role}.path: must be a checkpoint folder or a hub name, got {path!r}")


def check_fields(cfg: DictConfig) -> None:
    """Refuse fields that the chosen methods do not have."""
    for group in METHODS:
        try:
            parameters = inspect.signature(get_object(cfg[group]._target_)).parameters.values()
        except (ImportError, ValueError, TypeError):  # which its making will say better
            continue
        known = [each.name for each in parameters]
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
            continue
        for name in (str(name) for name in cfg[group] if not str(name).startswith("_") and name not in known):
            option = f"{cfg[group]._target_.rpartition('.')[2]} ({', '.join(known)})"
            left_out = "" if cfg.without == WHOLE else f" (without={cfg.without})"
            raise ValueError(f"{group}.{name}: must be a field of {option}, got {name!r}{left_out}")


def check_methods(cfg: DictConfig, *, uses_draft: bool, lossless: bool) -> None:
    """Refuse methods that do not go together. `uses_draft`: the schedule drafts, and by a model; `lossless`: the
    verifier is."""
    if uses_draft and cfg.draft.path is None:
        raise ValueError(
            "draft: this drafter needs a draft model, got none (draft=self, or parallelism=autoregressive)"
        )
    if cfg.temperature > 0 and not _interpolates(cfg.verifier, "temperature"):
        raise ValueError(f"temperature: must be 0 for a verifier that does not sample, got {cfg.temperature!r}")
    if cfg.exact and not lossless:
        raise ValueError(f"exact: the verifier must be lossless, got {cfg.verifier._target_.rpartition('.')[2]}")


def check_models(
    cfg: DictConfig,
    *,
    uses_draft: bool,
    needs: frozenset[str],
    samples: Sequence[Sample],
    kept: float,
    remote: bool,
    measure: Measure,
) -> None:
    """Refuse devices that are not there or have no room, and checkpoints that cannot be read, lack weights or do not
    fit together. Reads configurations, tokenizers, and the names and shapes of weights.

    `kept` is the share of the visual tokens that the draft reads; `remote`: it loads weights of its own. `measure` is
    as `vsd.video.measure`.
    """
    from vsd import models
    from vsd.run.check_memory import check_memory

    roles = ("target", "draft") if uses_draft else ("target",)
    models.check_device(cfg.device)
    for role in roles:
        dials = {name: cfg[role][name] for name in _DIALS}
        spread = any(cfg[role].get(name) is not None for name in ("device_map", "tp_plan"))
        models.check_options(**dials, spread=spread, field=role)
    target = models.inspect(cfg.target.path, max_pixels=cfg.target.max_pixels, field="target")
    models.check_unquantised(target, cfg.target.quantisation, field="target")
    _check_placement(cfg, "target")
    _check_context(cfg, target)
    models.check_needs(target, needs)
    if uses_draft:
        tokens = models.read_draft_vocab(cfg.draft_vocab) if cfg.draft_vocab else []
        draft = models.inspect(cfg.draft.path, max_pixels=cfg.draft.max_pixels, field="draft")
        models.check_pair(target, draft)
        models.check_unquantised(draft, cfg.draft.quantisation, field="draft")
        vocab, largest = min(target.vocab, draft.vocab), max(tokens, default=0)
        require("draft_vocab", f"token ids below {vocab}, which both models have", largest, largest < vocab)
        _check_placement(cfg, "draft")
        _check_context(cfg, draft)
    check_memory(cfg, roles, samples, kept=kept, remote=remote, measure=measure)
    for role in roles:
        models.check_contents(cfg[role].path, field=role)


def check_video(video: Any) -> None:
    """Refuse a way to read videos that there is not."""
    from vsd.video.reading import check_reader

    require(
        "video", "reader and timeout_s", video, isinstance(video, DictConfig) and set(video) <= {"reader", "timeout_s"}
    )
    check_reader(video.get("reader"))
    require_number("video.timeout_s", video.get("timeout_s"), least=1)


def _check_placement(cfg: DictConfig, role: str) -> None:
    from vsd import models

    option = cfg[role]
    where = {name: option[name] for name in ("device", "device_map", "tp_plan")}
    models.check_placement(option.path, **where, field=role)


def check_ranks(parallelism: Parallelism, executor: Executor, drafter: Drafter, *, target: bool, draft: bool) -> None:
    """Raise ValueError for what the processes of torchrun cannot do together; `target` and `draft`: which of the two
    models they share.

    A draft that they share is run by all of them in step, so nothing may begin at a moment of its own.
    """
    from vsd.utils import distributed

    if distributed.count() < 2:
        return
    if not target:
        raise ValueError(f"target.tp_plan: must be auto under torchrun ({distributed.count()} processes), got None")
    if executor.remote:
        raise ValueError("executor: must be inline or thread under torchrun, got 'process'")
    if draft and (executor.concurrent or parallelism.timed or drafter.timed):
        raise ValueError(
            "draft.tp_plan: must be null with a draft on a thread of its own or of a measured length, got 'auto'"
        )


def _interpolates(option: DictConfig, dial: str) -> bool:
    return f"${{{dial}}}" in str(OmegaConf.to_container(option, resolve=False))


def _check_context(cfg: DictConfig, info: ModelInfo) -> None:
    if cfg.max_new_tokens >= info.context:
        rule = f"must be below the context of {info.path}, {info.context} tokens"
        raise ValueError(f"max_new_tokens: {rule}, got {cfg.max_new_tokens}")


def _at_least(least: int) -> Callable[[Any], bool]:
    return lambda value: is_whole(value, least=least)


def _either(options: tuple[str, ...]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}"


_RULES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("ratio", "a number in [0, 1)", lambda value: is_number(value) and 0 <= value < 1),
    ("gamma", "a whole number, at least 1", _at_least(1)),
    ("frames", "a whole number, at least 1", _at_least(1)),
    ("max_pixels", "null or a whole number, at least 1", lambda value: value is None or _at_least(1)(value)),
    ("max_new_tokens", "a whole number, at least 1", _at_least(1)),
    ("seed", "a whole number in [0, 2**32)", lambda value: _at_least(0)(value) and value < 2**32),
    ("device", "the name of a device", lambda value: isinstance(value, str)),
    ("limit", "null or a whole number, at least 1", lambda value: value is None or _at_least(1)(value)),
    ("temperature", "a number, at least 0", lambda value: is_number(value) and value >= 0),
    ("top_p", "a number in (0, 1]", lambda value: is_number(value) and 0 < value <= 1),
    ("top_k", "a whole number, at least 0", _at_least(0)),
    ("draft_vocab", "null or a file of token ids", lambda value: value is None or isinstance(value, str)),
    ("exact", "true or false", lambda value: isinstance(value, bool)),
    ("share_vision", "true or false", lambda value: isinstance(value, bool)),
    ("positions", _either(get_args(Positions)), lambda value: value in get_args(Positions)),
    ("dtype", _either(get_args(Dtype)), lambda value: value in get_args(Dtype)),
    ("baseline", "true, cache or false", lambda value: value is True or value is False or value == "cache"),
    ("report", "short or full", lambda value: value in ("short", "full")),
    ("dry_run", gpus.RULE, gpus.holds),
)
