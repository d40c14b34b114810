"""Checks of whole decodes with the bundled pairs: tokens, schedules, memory."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch

from vsd.commands.doctor.checks import Finding, Machine, Skipped, require
from vsd.commands.doctor.kernels import cudnn
from vsd.drafters import Chain, Drafter
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.executors import Executor, Inline, Process, Thread
from vsd.models import VideoLM
from vsd.models.checkpoint import has_compiler
from vsd.models.hardware import free_memory
from vsd.models.steps import Compile
from vsd.parallelism import HIPPO, PARALLELVLM, PEARL, Parallelism, Sequential
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.run import memory
from vsd.zoo import FAMILIES

SCHEDULES: dict[str, Parallelism] = {"pearl": PEARL, "hippo": HIPPO, "parallelvlm": PARALLELVLM}
EXECUTORS: dict[str, Executor] = {"inline": Inline(), "thread": Thread(), "process": Process()}
FEW = (("pearl", "inline"), ("parallelvlm", "thread"), ("hippo", "process"))
PROFILED = 20  # rounds


@dataclass
class Tally:
    """Generations compared with the target's own."""

    generations: int = 0
    rounds: int = 0
    rejections: int = 0
    near: int = 0
    unexplained: list[str] = field(default_factory=list)

    def add(self, engine: Engine, machine: Machine, name: str, *, alone: Engine | None = None) -> None:
        """Decode once with and once without the draft, there with another engine's target if one is given."""
        judge = alone or engine
        self.generations += 1
        video, question = machine.video(), machine.question
        trace = engine.run(video, question)
        self.rounds += len(trace.rounds)
        self.rejections += sum(round_.rejected for round_ in trace.rounds)
        ours, theirs = trace.tokens, judge.baseline().run(video, question).tokens
        if ours != theirs:
            audit = judge.audit(video, question, ours, theirs)
            self.near += audit.explained
            self.unexplained += [] if audit.explained else [f"{name} at token {audit.place} (gap {audit.gap})"]

    def finding(self, what: str) -> Finding:
        """What was found. Raises RuntimeError if a difference has no explanation."""
        worst = f"; first: {self.unexplained[0]}" if self.unexplained else ""
        require(self.rounds > self.generations, f"a decode of several rounds says something, got {vars(self)}")
        require(
            not self.unexplained, f"{len(self.unexplained)} of {self.generations} generations differ unexplained{worst}"
        )
        said = f"{what}: {self.generations} generations like the target's own"
        return Finding(said=f"{said}, {self.near} but for a near-tie" if self.near else said, data=vars(self))


def capacities(machine: Machine) -> Finding:
    """bfloat16 with caches of all lengths modulo 8, chains and trees, cuDNN's attention off, then on."""
    tally = Tally()
    for family in FAMILIES:
        target, draft = machine.pair(family, "bfloat16")
        for on in (False, True) if machine.cuda else (False,):
            with cudnn(on):
                for drafter in (Chain(), Tree()):
                    for more in range(8):
                        tally.add(_engine(target, draft, drafter, 8 + more), machine, f"{family} {8 + more}")
    said = "bfloat16, capacities 0 to 7 modulo 8, chains and trees"
    return tally.finding(f"{said}, cuDNN off and on" if machine.cuda else said)


def schedules(machine: Machine) -> Finding:
    """float32, every schedule inline, on a thread and in a process: no difference."""
    tally = Tally()
    families = FAMILIES if machine.full else FAMILIES[:1]
    wanted = [(name, executor) for name in SCHEDULES for executor in EXECUTORS] if machine.full else FEW
    for family in families:
        target, draft = machine.pair(family, "float32")
        tally.add(_engine(target, draft, Chain(), 24), machine, f"{family} sequential")
        for name, executor in wanted:
            with closing(
                Engine(
                    target=target,
                    draft=machine.draft(family, "float32") if executor == "process" else draft,
                    pruner=UVPrune(ratio=0.5),
                    parallelism=SCHEDULES[name],
                    executor=EXECUTORS[executor],
                    max_new_tokens=24,
                )
            ) as engine:
                tally.add(engine, machine, f"{family} {name} {executor}")
    require(tally.rejections > 0, "some draft must be refused, or rolling back was not tried, got none")
    require(not tally.near, f"float32: no generation may differ, got {tally.near} near-ties in {tally.generations}")
    return tally.finding(f"float32, sequential and {len(wanted)} parallel settings")


def fixed_shapes(machine: Machine) -> Finding:
    """Decoding passes of fixed shape, chains and trees: as they are, as CUDA graphs, and with --full compiled."""
    tally, seconds = Tally(), dict[str, float]()
    kinds: list[Compile] = ["eager"]
    kinds += ["cudagraph"] if machine.cuda else []
    kinds += ["inductor"] if machine.full and (machine.cuda or has_compiler()) else []
    for compile in kinds:
        for family in FAMILIES if machine.full else FAMILIES[:1]:
            plain, draft = machine.pair(family, "float32")
            target, draft = plain.computed_by(compile=compile), draft.computed_by(compile=compile)
            for drafter in (Chain(), Tree()):
                engine = _engine(target, draft, drafter, 24)
                for _ in range(2):  # the second sample has the buffers of the first
                    name = f"{family} {compile} {type(drafter).__name__}"
                    tally.add(engine, machine, name, alone=_engine(plain, draft, drafter, 24))
                trace = engine.run(machine.video(), machine.question)
                seconds[f"{family}, {compile}, {type(drafter).__name__}"] = trace.seconds["decode"]
    require(tally.rejections > 0, "some draft must be refused, or rolling back was not tried, got none")
    finding = tally.finding(f"float32, {', '.join(kinds)}")
    return Finding(said=finding.said, data={**finding.data, "decode_s": seconds})


def out_of_memory(machine: Machine) -> Finding:
    """A draft that runs out of memory, inline and on a thread: nothing is left, and the next sample is decoded."""
    target, draft = machine.pair(FAMILIES[0], "float32")
    left = list[int]()
    for executor in ("inline", "thread"):
        with closing(
            Engine(target=target, draft=draft, parallelism=PEARL, executor=EXECUTORS[executor], max_new_tokens=12)
        ) as engine:
            expected = engine.run(machine.video(), machine.question).tokens
            memory.release()
            before = _allocated(machine)
            _run_out(engine, machine)
            left.append(_allocated(machine) - before)
            require(left[-1] <= 2**20, f"{executor}: at most 1 MiB may be left behind, got {left[-1] / 2**20:.1f} MiB")
            again = engine.run(machine.video(), machine.question).tokens
            require(again == expected, f"{executor}: the next sample must be decoded alike, got {again}")
    said = (
        f"{max(left) / 2**20:.1f} MiB left behind" if machine.cuda else "raised by hand, as a CPU gives no such error"
    )
    return Finding(said=f"inline and on a thread the next sample is decoded; {said}", data={"left": left})


def launches(machine: Machine) -> Finding:
    """20 rounds under the profiler: kernels a round, and the share of the time in which the GPU works."""
    machine.needs_cuda()
    from torch.profiler import ProfilerActivity, profile

    target, draft = machine.pair(FAMILIES[0], "bfloat16")
    engine = _engine(target, draft, Chain(), 6 * PROFILED)
    engine.run(machine.video(), machine.question)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        trace = engine.run(machine.video(), machine.question)
        machine.wait()
    kernels = [event for event in profiled.events() if event.device_type.name == "CUDA"]
    busy = sum(event.time_range.elapsed_us() for event in kernels) / 1e6
    rounds, total = max(len(trace.rounds), 1), trace.seconds["total"]
    said = (
        f"{len(kernels) / rounds:.0f} kernels a round ({rounds} rounds, prefills included), GPU busy {busy / total:.0%}"
    )
    return Finding(said=said, data={"kernels": len(kernels), "rounds": rounds, "busy_s": busy, "total_s": total})


def peak(machine: Machine) -> Finding:
    """The largest memory so far."""
    peak_mb = memory.peak_mb([machine.device])
    return Finding(said=f"peak memory of all checks: {peak_mb:,.0f} MiB", data={"peak_mb": peak_mb})


def large(machine: Machine) -> Finding:
    """A language model of Qwen2.5-VL 3B's shape with random weights, drafting for itself: encode, tokens, memory."""
    if not machine.large:
        raise Skipped("asked for with --large")
    from vsd.commands.doctor.shapes import BYTES, random_3b

    free = free_memory([str(machine.device)]).get(str(machine.device), 0)
    if free < BYTES:
        raise Skipped(f"needs {BYTES / 2**30:.0f} GiB of free memory, got {free / 2**30:.1f}")
    target, tally = random_3b(machine.device), Tally()
    engine = Engine(target=target, draft=target, pruner=SpecVLM(ratio=0.5), max_new_tokens=16)
    tally.add(engine, machine, "3B")
    trace = engine.run(machine.video(), machine.question)
    finding = tally.finding(f"{trace.visual} visual tokens, encoded in {trace.seconds['encode']:.2f} s, 3B shape")
    return Finding(said=finding.said, data={**finding.data, "seconds": dict(trace.seconds)})


def _engine(target: VideoLM, draft: VideoLM, drafter: Drafter, tokens: int) -> Engine:
    pruner = SpecVLM(ratio=0.5)
    return Engine(
        target=target, draft=draft, drafter=drafter, pruner=pruner, parallelism=Sequential(), max_new_tokens=tokens
    )  # fmt: skip


def _run_out(engine: Engine, machine: Machine) -> None:
    """One sample whose draft asks for more memory than there is; what it leaves is given back as a run does."""
    model: Any = engine.draft

    def forward(*_: Any, **__: Any) -> None:
        if machine.cuda:
            torch.empty(2**46, dtype=torch.uint8, device=machine.device)  # 64 TiB
        raise torch.OutOfMemoryError("out of memory, on purpose")

    model.forward = forward
    try:
        engine.run(machine.video(), machine.question)
    except torch.OutOfMemoryError as error:
        memory.release(error)
    else:
        raise RuntimeError("a draft without memory must end the sample, got a generation")
    finally:
        del model.forward


def _allocated(machine: Machine) -> int:
    return torch.cuda.memory_allocated(machine.device) if machine.cuda else 0
