"""Whether the run of a config fits the memory of its devices, found before any weight is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

if TYPE_CHECKING:
    from vsd.models.room import Need
    from vsd.types import Sample, Span

_TRIED = 3  # videos, until one can be read
Measure = Callable[[str, "Span"], tuple[int, int, int]]
"""As `vsd.video.measure`: how many frames a video has, their height and their width."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the files of a role's checkpoint say without its weights."""

    role: str
    folder: Path
    config: Any
    processor: Any

    @classmethod
    def of(cls, cfg: DictConfig, role: str) -> Files:
        """Those of the target or the draft; what a hub name needs is downloaded."""
        from vsd.models.checkpoint import fetch, read_processor
        from vsd.models.config import read_config

        folder = fetch(cfg[role].path, field=role)
        processor = read_processor(folder, field=role)
        return cls(role=role, folder=folder, config=read_config(folder, field=role), processor=processor)

    def visual_tokens(self, cfg: DictConfig, frames: int, height: int, width: int) -> int:
        """Of a video with so many frames of this size. Raises SampleError for one that its processor refuses."""
        from vsd.models.families import FAMILIES
        from vsd.utils.faults import of_sample

        family = FAMILIES[self.config.model_type][0]
        shape = {"frames": min(cfg.frames, frames), "height": height, "width": width}
        with of_sample("processor"):
            return family.visual_tokens(self.config, self.processor, **shape, max_pixels=cfg[self.role].max_pixels)

    def text_tokens(self, question: str) -> int:
        """Of all that stands around the video, to a token or two. Raises SampleError for a question that its chat
        template refuses."""
        from vsd.models.base import chat
        from vsd.utils.faults import of_sample

        with of_sample("chat template"):
            return len(self.processor.tokenizer(chat(self.processor, question))["input_ids"])


def check_memory(
    cfg: DictConfig, roles: Sequence[str], samples: Sequence[Sample], *, kept: float, remote: bool, measure: Measure
) -> None:
    """Raise ValueError if the models of these roles and their caches do not fit, or see different numbers of visual
    tokens. The prompt is that of the first samples that can be read, of which the draft's cache holds the share `kept`;
    what is wrong with a sample is left to its turn, but for questions that are all wrong. A draft that is the target
    shares its weights unless it is `remote`."""
    both = [Files.of(cfg, role) for role in roles]
    visual = _visual_tokens(cfg, both, samples, measure)
    prompts = {files.role: (visual[files.role], _text_tokens(files, samples)) for files in both}
    needs = memory_needs(cfg, both, prompts, kept=kept, remote=remote)
    check_grids(visual)
    check_needs(needs)


def memory_needs(
    cfg: DictConfig, both: Sequence[Files], prompts: Mapping[str, tuple[int, int]], *, kept: float, remote: bool
) -> list[Need]:
    """What each model takes of its devices with prompts of so many visual and other tokens, by role; see
    `check_memory`."""
    from vsd.models import hardware
    from vsd.models.checkpoint import Checkpoint, check_dtype, same_weights
    from vsd.models.placement import full_name
    from vsd.models.room import needs_of

    needs: list[Need] = []
    for files in both:
        role, config, option = files.role, files.config, cfg[files.role]
        where = {name: option[name] for name in ("device", "device_map", "tp_plan")}
        checkpoint = Checkpoint(path=option.path, field=role, **where)
        by_hand = isinstance(option.device_map, Mapping)
        visual, text = prompts[role]
        rows = ceil((1.0 if role == "target" else kept) * visual) + text + cfg.max_new_tokens
        needs += needs_of(
            config,
            files.folder,
            role=role,
            dtype=check_dtype(option.dtype, field=f"{role}.dtype"),
            devices=checkpoint.device_names,
            rows=min(rows, config.text_config.max_position_embeddings),
            device_map={module: full_name(there) for module, there in option.device_map.items()} if by_hand else None,
            ranks=hardware.processes() if option.tp_plan else 1,
            quantisation=option.quantisation,
            shares_weights=role == "draft" and same_weights(cfg.draft, cfg.target) and not remote,
        )
    return needs


def check_needs(needs: Sequence[Need]) -> None:
    """Raise ValueError if this does not fit the devices that are there."""
    from vsd.models import hardware
    from vsd.models.room import check_room

    own = frozenset().union(*(need.devices for need in needs))
    try:
        check_room(needs, hardware.free_memory(own))
    except ValueError:  # what is free on other GPUs is asked for the advice only: it takes memory there
        others = {f"cuda:{number}" for number in range(hardware.gpu_count())}
        check_room(needs, hardware.free_memory(own | others))


def check_grids(visual: Mapping[str, int]) -> None:
    """Raise ValueError unless all roles see as many visual tokens of a video."""
    if len(set(visual.values())) > 1:
        rule = "must see as many visual tokens of a video as the target, by their processors and max_pixels"
        raise ValueError(f"draft.path: {rule}, got {visual['target']} and {visual['draft']}")


def _visual_tokens(
    cfg: DictConfig, both: Sequence[Files], samples: Sequence[Sample], measure: Measure
) -> dict[str, int]:
    """How many visual tokens each role sees of the first video that can be read and is none that a processor refuses;
    none if that is true of none of the first few."""
    from vsd.types import SampleError
    from vsd.utils.faults import of_sample

    for sample in samples[:_TRIED]:
        try:
            with of_sample("video"):
                size = measure(sample.video, sample.span)
            return {files.role: files.visual_tokens(cfg, *size) for files in both}
        except SampleError:
            continue
    return {files.role: 0 for files in both}


def _text_tokens(files: Files, samples: Sequence[Sample]) -> int:
    """How many tokens the text around the video has, by the first question that can be asked. Raises ValueError if none
    can."""
    from vsd.types import SampleError

    failure = None
    for question in dict.fromkeys(sample.question for sample in samples):
        try:
            return files.text_tokens(question)
        except SampleError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return 0
