"""How long a run would decode: as the last run of its kind did, or by the roofline of its GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vsd.drafters import Chain
from vsd.drafters.tree import Tree
from vsd.metrics.record import Record
from vsd.models.checkpoint import Checkpoint, check_dtype
from vsd.models.hardware import GPUs, processes
from vsd.parallelism import Sequential
from vsd.run.disk import CannotWrite
from vsd.run.provenance import FILE, hardware, read
from vsd.run.results.dials import NOT_THE_RUN
from vsd.run.results.run import Run, load_run
from vsd.simulator.acceptance import ByPosition
from vsd.simulator.rehearsal import Setting, simulate
from vsd.step_times.devices import DEVICES
from vsd.step_times.roofline import EFFICIENCIES, Machine, Roofline, Split
from vsd.step_times.shapes import shape
from vsd.types import Trace

Prompt = tuple[int, int]
"""Its visual tokens, and its others."""

ACCEPTED = 0.8
"""Share of the draft tokens that is taken to be accepted where no run says it."""
_LOOKED_AT = 200  # of the newest runs
_DEEPEST = 4  # folders below the one that is looked through
_OTHER_SAMPLES = frozenset({"data", "seed"})


@dataclass(frozen=True, kw_only=True)
class Duration:
    """Seconds of decoding all samples: those of the method, those of the target alone beside it, and what says so."""

    method_s: float
    baseline_s: float
    source: str

    @property
    def total_s(self) -> float:
        return self.method_s + self.baseline_s


def expected_duration(
    cfg: DictConfig, methods: Mapping[str, Any], prompts: Sequence[Prompt], *, uses_draft: bool, gpus: GPUs | None
) -> Duration | str:
    """What decoding samples with these prompts takes, or why that cannot be said. `gpus` are those of a machine that is
    not here."""
    if not prompts:
        return "there is nothing to decode"
    if methods["executor"].simulated:
        return "not known: a simulated run spends another machine's time"
    if gpus is None and (found := _last_of_its_kind(cfg)) is not None:
        return _as_measured(cfg, found, [visual for visual, _ in prompts])
    kind = gpus.kind if gpus is not None else _kind_here()
    on_gpus = all(cfg[role].device.startswith("cuda") for role in ("target", *(["draft"] if uses_draft else [])))
    if kind is None or not on_gpus:
        return "not known: no run of this kind is beside it (one with limit=4 would do)"
    return _by_roofline(cfg, methods, prompts, kind, uses_draft=uses_draft)


def _last_of_its_kind(cfg: DictConfig) -> Run | None:
    """The newest run that differs in nothing but its samples and was decoded on this machine, best of the same data
    set, of those below the folder that this one's is in (of outputs/DATE/TIME: below outputs)."""
    root = Path(str(cfg.out)).absolute().parent
    root = root.parent if root.parent.name == "outputs" else root
    ours: Any = OmegaConf.to_container(cfg, resolve=True)
    wanted, here, other = _kind_of(ours), hardware(), None
    for folder in _newest(root):
        with suppress(
            ValueError, OSError, CannotWrite, YAMLError, OmegaConfBaseException
        ):  # damaged, or gone meanwhile
            config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=False)
            if read(folder).get("hardware") == here and _kind_of(config) == wanted:
                run = load_run(folder)
                if any(record.done for record in run.records):
                    if run.config.get("data") == ours["data"]:
                        return run
                    other = other or run
    return other


def _newest(root: Path) -> list[Path]:
    """The run folders that changed last."""
    found = dict[Path, float]()
    for depth in range(1, _DEEPEST + 1):
        for file in root.glob("/".join(["*"] * depth + [FILE])):
            with suppress(OSError):
                found[file.parent] = file.stat().st_mtime
    return sorted(found, key=lambda folder: found[folder], reverse=True)[:_LOOKED_AT]


def _kind_of(config: Any) -> dict[str, Any]:
    """What a run's speed on its machine follows from."""
    return {name: value for name, value in config.items() if name not in NOT_THE_RUN | _OTHER_SAMPLES}


def _as_measured(cfg: DictConfig, run: Run, visual: Sequence[int]) -> Duration:
    """What comes before decoding takes as much longer as there are more visual tokens; the rest as long as there."""
    done = [record for record in run.records if record.done]
    there = fmean(record.trace.visual for record in done if record.trace is not None)
    longer = fmean(visual) / there if there else 1.0
    method_s, baseline_s = (
        len(visual) * fmean(_seconds(record, name, longer) for record in done) for name in ("trace", "baseline")
    )
    count = f"the {len(done)} samples" if len(done) > 1 else "the one sample"
    source = f"{count} of {run.folder}{_cached(cfg)}"
    return Duration(method_s=method_s, baseline_s=baseline_s if cfg.baseline else 0.0, source=source)


def _seconds(record: Record, name: str, longer: float) -> float:
    trace: Trace | None = getattr(record, name)
    if trace is None:
        return 0.0
    decode = trace.seconds["decode"]
    return decode + longer * (trace.seconds["total"] - decode)


def _kind_here() -> str | None:
    """What this machine's GPUs are, if their data sheet is known."""
    names = hardware()["gpus"]
    return next((kind for kind in DEVICES if names and kind in names[0].lower()), None)


def _by_roofline(
    cfg: DictConfig, methods: Mapping[str, Any], prompts: Sequence[Prompt], kind: str, *, uses_draft: bool
) -> Duration:
    """Generations of `max_new_tokens` tokens behind the mean prompt."""
    pace = "eager" if cfg.target.compile in ("none", "eager") else "engine"
    draft = "draft" if uses_draft else "target"
    target_on, draft_on = (_machine(cfg[role], kind, EFFICIENCIES[pace]) for role in ("target", draft))
    drafter, visual, text = methods["drafter"], *(round(fmean(counts)) for counts in zip(*prompts, strict=True))
    shared = sorted(frozenset.intersection(*(_checkpoint(cfg[role]).device_names for role in ("target", draft))))
    in_turn = bool(uses_draft and shared and methods["parallelism"].overlaps)
    setting = Setting(
        times=Roofline(
            target=shape(cfg.target.path),
            draft=shape(cfg[draft].path, field=draft),
            target_on=target_on,
            draft_on=draft_on,
        ),
        acceptance=ByPosition([ACCEPTED]),
        parallelism=Sequential() if in_turn else methods["parallelism"],
        gamma=cfg.gamma,
        ratio=methods["pruner"].ratio if uses_draft else 0.0,
        paths=drafter.paths if isinstance(drafter, Tree) else "",
        visual=visual,
        text=text,
        tokens=max(2, cfg.max_new_tokens),
    )
    method, alone = _simulated(setting, drafts=uses_draft)
    source = f"the roofline of {kind}, {EFFICIENCIES[pace]:g} of it reached ({pace}), {cfg.max_new_tokens} tokens each"
    if uses_draft:
        source += f", {ACCEPTED:g} of the draft tokens accepted"
        source += "" if isinstance(drafter, (Chain, Tree)) else ", drafts as chains"
        source += f", in turn, since both are on {', '.join(shared)}" if in_turn else ""
    elif methods["parallelism"].drafts:
        source += ", as by the target alone"
    again = alone if cfg.baseline else 0.0
    source += _cached(cfg)
    return Duration(method_s=len(prompts) * method, baseline_s=len(prompts) * again, source=source)


def _cached(cfg: DictConfig) -> str:
    return ", none of the target alone taken from the cache" if cfg.baseline == "cache" else ""


def _simulated(setting: Setting, *, drafts: bool) -> tuple[float, float]:
    """Seconds of a sample, and of the target alone."""
    records = simulate(setting, precision=0.05)
    alone = fmean(record.baseline.seconds["total"] for record in records if record.baseline is not None)
    with_draft = fmean(record.trace.seconds["total"] for record in records if record.trace is not None)
    return (with_draft if drafts else alone), alone


def _machine(option: DictConfig, kind: str, efficiency: float) -> Machine:
    """What a model is spread over."""
    split: Split = "tensor" if option.tp_plan else "pipeline"
    return Machine(
        device=DEVICES[kind],
        count=processes() if option.tp_plan else len(_checkpoint(option).device_names),
        split=split,
        efficiency=efficiency,
        bytes=check_dtype(option.dtype).itemsize if option.quantisation == "none" else 1,  # most of it are weights
    )


def _checkpoint(option: DictConfig) -> Checkpoint:
    """Where a model is."""
    where = {name: option[name] for name in ("device", "device_map", "tp_plan")}
    return Checkpoint(path=option.path, **where)
