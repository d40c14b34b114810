"""Whether the run of a config fits the memory of its devices, found before any weight is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vsd import ranks

if TYPE_CHECKING:
    from vsd.types import Sample

_TRIED = 3  # videos, until one can be read
Measure = Callable[[str], tuple[int, int, int]]


def check_memory(
    cfg: DictConfig, roles: Sequence[str], samples: Sequence[Sample], *, kept: float, remote: bool, measure: Measure
) -> None:
    """Raise ValueError if the models of these roles and their caches do not fit, or see different numbers of visual
    tokens. The prompt is that of the first sample whose video can be read, of which the draft's cache holds the share
    `kept`; a draft that is the target shares its weights unless it is `remote`. `measure` is as `vsd.video.measure`."""
    import torch

    from vsd.models.checkpoint import Checkpoint, check_dtype, fetch
    from vsd.models.config import read_config
    from vsd.models.placement import full_name
    from vsd.models.room import Need, check_room, free_memory, needs_of

    needs: list[Need] = []
    size = _first_size(samples, measure)
    visual = {}
    for role in roles:
        option = cfg[role]
        folder = fetch(option.path, field=role)
        config = read_config(folder, field=role)
        where = {name: option[name] for name in ("device", "device_map", "tp_plan")}
        place = Checkpoint(path=option.path, field=role, **where)
        by_hand = isinstance(option.device_map, Mapping)
        visual[role], text = _tokens(cfg, role, config, folder, samples, size)
        rows = ceil((1.0 if role == "target" else kept) * visual[role]) + text + cfg.max_new_tokens
        needs += needs_of(
            config,
            folder,
            role=role,
            dtype=check_dtype(option.dtype, field=f"{role}.dtype"),
            devices=place.places,
            rows=min(rows, config.text_config.max_position_embeddings),
            device_map={module: full_name(there) for module, there in option.device_map.items()} if by_hand else None,
            ranks=ranks.count() if option.tp_plan else 1,
            shares_weights=role == "draft" and cfg.draft == cfg.target and not remote,
        )
    if len(set(visual.values())) > 1:
        rule = "must see as many visual tokens of a video as the target, by their processors and max_pixels"
        raise ValueError(f"draft.path: {rule}, got {visual['target']} and {visual['draft']}")
    own = frozenset().union(*(need.devices for need in needs))
    try:
        check_room(needs, free_memory(own))
    except ValueError:  # what is free on other GPUs is asked for the advice only: it takes memory there
        check_room(needs, free_memory(own | {f"cuda:{number}" for number in range(torch.cuda.device_count())}))


def _first_size(samples: Sequence[Sample], measure: Measure) -> tuple[int, int, int] | None:
    """Frames, height and width of the first video that can be read, None if none of the first few can."""
    from vsd.video import BadVideo

    for sample in samples[:_TRIED]:
        try:
            return measure(sample.video)
        except BadVideo:
            continue
    return None


def _tokens(
    cfg: DictConfig, role: str, config: Any, folder: Path, samples: Sequence[Sample], size: tuple[int, int, int] | None
) -> tuple[int, int]:
    """How many visual tokens a video of that size has, none if it is not known, and how many the text around it."""
    from vsd.models.base import chat
    from vsd.models.checkpoint import read_processor
    from vsd.models.families import FAMILIES

    processor = read_processor(folder, field=role)
    text = len(processor.tokenizer(chat(processor, samples[0].question))["input_ids"]) if samples else 0
    if size is None:
        return 0, text
    frames, height, width = size
    family, bound = FAMILIES[config.model_type][0], cfg[role].max_pixels
    visual = family.visual_tokens(
        config, processor, frames=min(cfg.frames, frames), height=height, width=width, max_pixels=bound
    )
    return visual, text
