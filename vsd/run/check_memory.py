"""Whether the run of a config fits the memory of its devices, found before any weight is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vsd.utils import distributed

if TYPE_CHECKING:
    from vsd.types import Sample, Span

_TRIED = 3  # videos, until one can be read
Measure = Callable[[str, "Span"], tuple[int, int, int]]


def check_memory(
    cfg: DictConfig, roles: Sequence[str], samples: Sequence[Sample], *, kept: float, remote: bool, measure: Measure
) -> None:
    """Raise ValueError if the models of these roles and their caches do not fit, or see different numbers of visual
    tokens. The prompt is that of the first samples that can be read, of which the draft's cache holds the share `kept`;
    what is wrong with a sample is left to its turn, but for questions that are all wrong. A draft that is the target
    shares its weights unless it is `remote`. `measure` is as `vsd.video.measure`."""
    import torch

    from vsd.models.checkpoint import Checkpoint, check_dtype, fetch, read_processor, same_weights
    from vsd.models.config import read_config
    from vsd.models.placement import full_name
    from vsd.models.room import Need, check_room, free_memory, needs_of

    needs: list[Need] = []
    folders = {role: fetch(cfg[role].path, field=role) for role in roles}
    configs = {role: read_config(folders[role], field=role) for role in roles}
    processors = {role: read_processor(folders[role], field=role) for role in roles}
    visual = _visual_tokens(cfg, configs, processors, samples, measure)
    for role, config in configs.items():
        option, folder = cfg[role], folders[role]
        where = {name: option[name] for name in ("device", "device_map", "tp_plan")}
        checkpoint = Checkpoint(path=option.path, field=role, **where)
        by_hand = isinstance(option.device_map, Mapping)
        text = _text_tokens(processors[role], samples)
        rows = ceil((1.0 if role == "target" else kept) * visual[role]) + text + cfg.max_new_tokens
        needs += needs_of(
            config,
            folder,
            role=role,
            dtype=check_dtype(option.dtype, field=f"{role}.dtype"),
            devices=checkpoint.device_names,
            rows=min(rows, config.text_config.max_position_embeddings),
            device_map={module: full_name(there) for module, there in option.device_map.items()} if by_hand else None,
            ranks=distributed.count() if option.tp_plan else 1,
            quantisation=option.quantisation,
            shares_weights=role == "draft" and same_weights(cfg.draft, cfg.target) and not remote,
        )
    if len(set(visual.values())) > 1:
        rule = "must see as many visual tokens of a video as the target, by their processors and max_pixels"
        raise ValueError(f"draft.path: {rule}, got {visual['target']} and {visual['draft']}")
    own = frozenset().union(*(need.devices for need in needs))
    try:
        check_room(needs, free_memory(own))
    except ValueError:  # what is free on other GPUs is asked for the advice only: it takes memory there
        check_room(needs, free_memory(own | {f"cuda:{number}" for number in range(torch.cuda.device_count())}))


def _visual_tokens(
    cfg: DictConfig,
    configs: Mapping[str, Any],
    processors: Mapping[str, Any],
    samples: Sequence[Sample],
    measure: Measure,
) -> dict[str, int]:
    """How many visual tokens each role sees of the first video that can be read and is none that a processor refuses;
    none if that is true of none of the first few."""
    from vsd.models.families import FAMILIES
    from vsd.types import SampleError
    from vsd.utils.faults import of_sample

    def seen(role: str, frames: int, height: int, width: int) -> int:
        family = FAMILIES[configs[role].model_type][0]
        shape = {"frames": min(cfg.frames, frames), "height": height, "width": width}
        with of_sample("processor"):
            return family.visual_tokens(configs[role], processors[role], **shape, max_pixels=cfg[role].max_pixels)

    for sample in samples[:_TRIED]:
        try:
            with of_sample("video"):
                size = measure(sample.video, sample.span)
            return {role: seen(role, *size) for role in configs}
        except SampleError:
            continue
    return dict.fromkeys(configs, 0)


def _text_tokens(processor: Any, samples: Sequence[Sample]) -> int:
    """How many tokens the text around the video has, by the first question that can be asked. Raises ValueError if none
    can."""
    from vsd.models.base import chat
    from vsd.types import SampleError
    from vsd.utils.faults import of_sample

    failure = None
    for question in dict.fromkeys(sample.question for sample in samples):
        try:
            with of_sample("chat template"):
                return len(processor.tokenizer(chat(processor, question))["input_ids"])
        except SampleError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return 0
