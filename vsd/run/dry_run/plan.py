"""What a run would read, and what it would take: prompts, memory, seconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from omegaconf import DictConfig

from vsd.models import hardware
from vsd.models.room import Need
from vsd.run.check_memory import Files, Measure, check_grids, check_needs, memory_needs
from vsd.run.dry_run.seconds import Duration, expected_duration
from vsd.types import Sample, SampleError, Span
from vsd.utils.faults import of_sample

Size = tuple[int, int, int]
Progress = Callable[[Sequence[Any]], Any]
"""Shows how far the items of a sequence are looked at; gives them one by one."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A sample's prompt: its visual tokens, as many for both models, and its others by role."""

    sample: Sample
    visual: int
    text: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it begins. Of its `samples`, `finished` are so already; `asked` are those that can be decoded,
    `failures` the others with their reasons. `needs` is the memory of the largest prompt, `free` what there is by
    device, `crowded` why it does not fit. `duration` is what decoding takes, or why that cannot be said."""

    samples: int
    finished: int
    asked: Sequence[Asked]
    failures: Mapping[str, str]
    needs: Sequence[Need]
    free: Mapping[str, int]
    crowded: str
    duration: Duration | str


def plan(
    cfg: DictConfig,
    methods: Mapping[str, Any],
    samples: Sequence[Sample],
    *,
    uses_draft: bool,
    measure: Measure,
    gpus: hardware.GPUs | None,
    finished: Collection[str] = (),
    progress: Progress = iter,
) -> Plan:
    """Looks at every video and every question but for those of `finished` samples, by id. Raises ValueError for nothing
    that a run would record as a sample's failure."""
    both = [Files.of(cfg, role) for role in (("target", "draft") if uses_draft else ("target",))]
    kept = 1 - methods["pruner"].ratio
    left = [sample for sample in samples if sample.id not in finished]
    asked, failures = _asked(cfg, both, left, _sizes(left, measure, progress), kept)
    largest = max((one.visual for one in asked), default=0)
    prompts = {files.role: (largest, max((one.text[files.role] for one in asked), default=0)) for files in both}
    needs = memory_needs(cfg, both, prompts, kept=kept, remote=methods["executor"].remote)
    return Plan(
        samples=len(samples),
        finished=len(samples) - len(left),
        asked=asked,
        failures=failures,
        needs=needs,
        free=hardware.free_memory(sorted(frozenset().union(*(need.devices for need in needs)))),
        crowded=_crowded(needs),
        duration=expected_duration(
            cfg, methods, [(one.visual, one.text["target"]) for one in asked], uses_draft=uses_draft, gpus=gpus
        ),
    )


def _sizes(samples: Sequence[Sample], measure: Measure, progress: Progress) -> dict[tuple[str, Span], Size | str]:
    """Frames, height and width of each video, or why it cannot be read."""
    found = dict[tuple[str, Span], Size | str]()
    for path, span in progress(list(dict.fromkeys((sample.video, sample.span) for sample in samples))):
        try:
            with of_sample("video"):
                found[path, span] = measure(path, span)
        except SampleError as error:
            found[path, span] = str(error)
    return found


def _asked(
    cfg: DictConfig,
    both: Sequence[Files],
    samples: Sequence[Sample],
    sizes: Mapping[tuple[str, Span], Size | str],
    kept: float,
) -> tuple[list[Asked], dict[str, str]]:
    """The prompts of the samples, and why there is none, by id."""
    asked, failures = list[Asked](), dict[str, str]()
    text_tokens = {files.role: cache(files.text_tokens) for files in both}  # many samples may ask the same
    for sample in samples:
        size = sizes[sample.video, sample.span]
        if isinstance(size, str):
            failures[sample.id] = size
            continue
        try:
            visual = {files.role: files.visual_tokens(cfg, *size) for files in both}
            text = {role: tokens(sample.question) for role, tokens in text_tokens.items()}
            check_grids(visual)
            for files in both:
                _check_context(cfg, files, visual[files.role], text[files.role], kept)
        except ValueError as error:  # a SampleError is one
            failures[sample.id] = str(error)
        else:
            asked.append(Asked(sample=sample, visual=visual["target"], text=text))
    return asked, failures


def _check_context(cfg: DictConfig, files: Files, visual: int, text: int, kept: float) -> None:
    """Raise ValueError for a prompt that is too long, of which the draft reads a share."""
    context = files.config.text_config.max_position_embeddings
    rows = (visual if files.role == "target" else ceil(kept * visual)) + text + cfg.max_new_tokens
    if rows > context:
        raise ValueError(f"prompt and generation must fit the {files.role}'s context of {context} tokens")


def _crowded(needs: Sequence[Need]) -> str:
    try:
        check_needs(needs)
    except ValueError as error:
        return str(error)
    return ""
