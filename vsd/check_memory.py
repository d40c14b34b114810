"""Whether the run of a config fits the memory of its devices, found before any weight is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vsd import ranks

if TYPE_CHECKING:
    from vsd.types import Sample

_TRIED = 3  # videos, until one can be read


def check_memory(
    cfg: DictConfig, roles: Sequence[str], samples: Sequence[Sample], *, kept: float, remote: bool
) -> None:
    """Raise ValueError if the models of these roles and their caches do not fit. The prompt is that of the first
    sample whose video can be read, of which the draft's cache holds the share `kept`; a draft that is the target
    shares its weights unless it is `remote`."""
    import torch

    from vsd.models.checkpoint import Checkpoint, check_dtype, fetch
    from vsd.models.config import read_config
    from vsd.models.placement import full_name
    from vsd.models.room import check_room, free_memory, needs_of

    needs = []
    for role in roles:
        option = cfg[role]
        folder = fetch(option.path, field=role)
        config = read_config(folder, field=role)
        where = {name: option[name] for name in ("device", "device_map", "tp_plan")}
        place = Checkpoint(path=option.path, field=role, **where)
        by_hand = isinstance(option.device_map, Mapping)
        needs += needs_of(
            config,
            folder,
            role=role,
            dtype=check_dtype(option.dtype, field=f"{role}.dtype"),
            devices=place.places,
            rows=_rows(cfg, role, config, folder, samples, 1.0 if role == "target" else kept),
            device_map={module: full_name(there) for module, there in option.device_map.items()} if by_hand else None,
            ranks=ranks.count() if option.tp_plan else 1,
            shares_weights=role == "draft" and cfg.draft == cfg.target and not remote,
        )
    gpus = {f"cuda:{number}" for number in range(torch.cuda.device_count())}
    check_room(needs, free_memory(gpus.union(*(need.devices for need in needs))))


def _rows(cfg: DictConfig, role: str, config: Any, folder: Any, samples: Sequence[Sample], kept: float) -> int:
    """Rows of the cache: the first sample's prompt and the answer, at most the context."""
    from vsd.models.base import chat
    from vsd.models.checkpoint import read_processor
    from vsd.models.families import FAMILIES
    from vsd.video import BadVideo, read

    processor = read_processor(folder, field=role)
    text = len(processor.tokenizer(chat(processor, samples[0].question))["input_ids"]) if samples else 0
    visual = 0
    for sample in samples[:_TRIED]:
        try:
            height, width = read(sample.video, 1).frames.shape[1:3]
        except BadVideo:
            continue
        visual = FAMILIES[config.model_type][0].visual_tokens(
            config, processor, frames=cfg.frames, height=height, width=width, max_pixels=cfg[role].max_pixels
        )
        break
    rows = ceil(kept * visual) + text + cfg.max_new_tokens
    return int(min(rows, config.text_config.max_position_embeddings))
