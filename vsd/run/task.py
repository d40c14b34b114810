"""The Lightning module: one test step decodes one sample, with the target alone beside it."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule

from vsd.data.datamodule import Item
from vsd.data.scoring import FactSpans, Scorer, fact_tokens, plain, scored
from vsd.metrics import values_of
from vsd.metrics.audit import Audit, first_difference
from vsd.metrics.record import Record, without_rounds
from vsd.run import memory
from vsd.run.baselines import BaselineCache, Kept
from vsd.run.machine import MachineMeter, MachineState, busy, unlike
from vsd.types import Sample, SampleError, Trace, Video
from vsd.utils import distributed
from vsd.utils.faults import of_sample, warn_once

if TYPE_CHECKING:
    from vsd.engine import Engine

log = logging.getLogger(__name__)


class DecodeTask(LightningModule):
    """Decodes items to records. Lightning neither moves nor saves the models: the engine is a plain object.

    `baseline` is the engine that is compared with (None: no comparison), `cache` keeps what it measured. `meter` looks
    at the machine (None: times do not depend on it). `scorer` is
    the data set's, and `fact_spans` what it has to say of facts, if anything (see `vsd.data.scoring`). `records` holds
    the samples of earlier runs in the same folder; those of this run are added to it. `devices` are those whose memory
    is watched.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        baseline: Engine | None = None,
        cache: BaselineCache | None = None,
        meter: MachineMeter | None = None,
        records: list[Record] | None = None,
        scorer: Scorer = plain,
        fact_spans: FactSpans | None = None,
        seed: int = 0,
        devices: Sequence[torch.device] = (),
    ) -> None:
        super().__init__()
        self.engine = engine
        self.baseline = baseline
        self.cache = cache
        self.meter = meter
        self.records = [] if records is None else records
        self.scorer = scorer
        self.fact_spans = fact_spans
        self.seed = seed
        self.memory_devices = devices
        self._on_gpu = any(device.type == "cuda" for device in devices)
        self._warm: set[tuple[int, int]] = set()
        self._whole: MachineMeter | None = None

    def test_step(self, batch: Item, batch_idx: int) -> dict[str, Any]:
        """Decode one item. What is wrong with this sample alone becomes a record that says so; the run goes on."""
        known: dict[str, Any] = {
            "sample": batch.sample,
            "video_stamp": batch.stamp,
            "warnings": batch.warnings,
        }
        if distributed.from_rank0(lambda: batch.video is None) != (batch.video is None):
            raise RuntimeError(f"{batch.sample.video}: rank 0 and rank {distributed.rank()} must see the same video")
        if batch.video is None:
            return self._finish(Record(**known, failure=batch.failure))
        try:
            trace, baseline = self._decode(batch.sample, batch.video, baseline_first=batch_idx % 2 == 0)
            known |= self._texts(trace, baseline)
            known |= self._scores(batch.sample, known["text"], known["baseline_text"] if baseline else None)
            known["fact_tokens"] = self._fact_tokens(batch.sample, known["pieces"])
        except (SampleError, torch.OutOfMemoryError) as error:
            if distributed.count() > 1 and not isinstance(error, SampleError):
                raise  # the other processes may have had room, and would wait for this one
            if isinstance(error, torch.OutOfMemoryError):
                memory.release(error)  # or the next sample would find as little room
            return self._finish(Record(**known, failure=str(error)))
        record = Record(
            **known,
            trace=trace,
            baseline=baseline,
            peak_mb=memory.peak_mb(self.memory_devices),
        )
        if record.mismatched:
            record = replace(record, audit=self._audit(batch.video, record))
        return self._finish(record)

    def on_test_epoch_start(self) -> None:
        self._whole = None if self.engine.executor.simulated or distributed.rank() else MachineMeter()

    def on_test_epoch_end(self) -> None:
        """Say whether others were at work meanwhile, and log the numbers of all records, earlier ones included; not by
        `log_dict`, which rounds them to float32."""
        if self._whole and (why := busy(self._whole.look(), past=True)):
            log.warning(why)
        for logger in self.loggers:
            logger.log_metrics(values_of(self.records), step=len(self.records))

    def _finish(self, record: Record) -> dict[str, Any]:
        self.records.append(record)
        return {"record": record}

    def _decode(self, sample: Sample, video: Video, *, baseline_first: bool) -> tuple[Trace, Trace | None]:
        """Both decodes of a sample, the order alternating so that neither always runs on warmer hardware."""
        seed = sample_seed(self.seed, sample.id)
        baseline = self._baseline(sample, video, seed) if baseline_first else None
        trace = self._run(self.engine, sample, video, seed)
        return trace, baseline or self._baseline(sample, video, seed)

    def _texts(self, trace: Trace, baseline: Trace | None) -> dict[str, Any]:
        with of_sample("text of the generation"):
            return {
                "text": self.engine.text(trace),
                "pieces": self.engine.pieces(trace),
                "baseline_text": self.engine.text(baseline) if baseline else "",
            }

    def _scores(self, sample: Sample, text: str, baseline_text: str | None) -> dict[str, Any]:
        """What rank 0's scorer says: no other's is asked, which may not say the same."""
        texts = {"scores": text} | ({} if baseline_text is None else {"baseline_scores": baseline_text})
        return distributed.from_rank0(lambda: {name: scored(self.scorer, sample, said) for name, said in texts.items()})

    def _fact_tokens(self, sample: Sample, pieces: Sequence[str]) -> tuple[bool, ...]:
        """Which tokens state a fact, as rank 0's data set has it."""
        spans = self.fact_spans
        return () if spans is None else distributed.from_rank0(lambda: fact_tokens(spans, sample, pieces))

    def _audit(self, video: Video, record: Record) -> Audit | None:
        """Why the generation is not the target's own, if the rule promises that it is."""
        rule = self.engine.verifier
        if record.trace is None or record.baseline is None or not (rule.lossless and rule.deterministic):
            return None
        generations = record.trace.tokens, record.baseline.tokens
        try:
            return self.engine.audit(video, record.sample.question, *generations)
        except torch.OutOfMemoryError as error:
            if distributed.count() > 1:
                raise
            memory.release(error)
            return first_difference(*generations)

    def _baseline(self, sample: Sample, video: Video, seed: int) -> Trace | None:
        if self.baseline is None:
            return None
        cache = self.cache
        kept = distributed.from_rank0(lambda: cache.get(sample)) if cache else None
        if kept:
            self._warn_of_another_state(kept.state)
            return kept.trace
        trace = without_rounds(self._run(self.baseline, sample, video, seed))
        if self.cache and distributed.rank() == 0:
            self.cache.put(sample, Kept(trace=trace, state=self.meter.look() if self.meter else MachineState()))
        return trace

    def _warn_of_another_state(self, then: MachineState) -> None:
        """Once a run, where times that were kept cannot be held against those of now."""
        if self.meter and distributed.rank() == 0 and (why := unlike(then, self.meter.look())):
            self.meter = None
            warn_once(f"baseline=cache: when the target alone was timed, {why}: speed-ups will be off "
                      "(baseline=true times it beside each run)")  # fmt: skip

    def _run(self, engine: Engine, sample: Sample, video: Video, seed: int) -> Trace:
        """One decode. An engine's first is done twice and timed the second time: the first allocates and compiles. On a
        GPU so is the first of each size of cache, for which memory is asked of the driver."""
        trace = engine.run(video, sample.question, seed=seed)
        size = engine.target.rows(engine.capacity(trace.prompt)) if self._on_gpu else 0
        if (id(engine), size) not in self._warm:
            self._warm.add((id(engine), size))
            trace = engine.run(video, sample.question, seed=seed)
        return trace


def sample_seed(seed: int, sample_id: str) -> int:
    """The seed of one sample: the same in every shard and after every restart, different between samples."""
    return (seed + zlib.crc32(sample_id.encode(errors="surrogatepass"))) % 2**32
