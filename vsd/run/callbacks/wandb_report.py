"""What Weights & Biases shows beside the metrics: the samples, and how acceptance is spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from vsd.metrics import values_of
from vsd.metrics.record import Record
from vsd.run.report.marks import heat_line, marked
from vsd.run.report.printable import printable
from vsd.run.task import DecodeTask

COLUMNS = [
    "id",
    "question",
    "text",
    "baseline_text",
    "relevance",
    "same_tokens",
    "tokens",
    "accept/draft_length",
    "failure",
]


class WandbReport(Callback):
    """Logs a table of the samples, the histogram of accepted tokens per round, and the per-position acceptance."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if not loggers or not isinstance(pl_module, DecodeTask):
            return
        import wandb

        records = pl_module.records
        charts: dict[str, Any] = {
            "samples": wandb.Table(columns=[*COLUMNS], data=[table_row(record) for record in records])
        }
        accepted = [r.accepted for record in records if record.trace for r in record.trace.rounds if r.drafted]
        if accepted:
            charts["accept/per_round"] = wandb.Histogram(accepted, num_bins=min(max(accepted) + 1, 512))
        curve = position_curve(records)
        if curve:
            table = wandb.Table(columns=["position", "accepted"], data=curve)
            charts["accept/by_position"] = wandb.plot.line(
                table, "position", "accepted", title="Acceptance by position"
            )
        for logger in loggers:
            logger.experiment.log(charts)


def position_curve(records: Sequence[Record]) -> list[tuple[int, float]]:
    """(k, accept/position_k) for every draft position, in order."""
    values, curve = values_of(records), list[tuple[int, float]]()
    while (name := f"accept/position_{len(curve) + 1}") in values:
        curve.append((len(curve) + 1, values[name]))
    return curve


def table_row(record: Record) -> list[object]:
    """One row of COLUMNS. Relaxed tokens stand in brackets; `relevance` has a bar under each character of the text."""
    trace, baseline = record.trace, record.baseline
    token_marks = trace.marks if trace else ()
    row: list[object] = [
        record.sample.id,
        record.sample.question,
        marked(record.pieces, token_marks) if any(mark.relaxed for mark in token_marks) else record.text,
        record.baseline_text,
        heat_line(record.pieces, token_marks),
        trace.tokens == baseline.tokens if trace and baseline else None,
        len(trace.tokens) if trace else None,
        values_of([record]).get("accept/draft_length"),
        record.failure,
    ]
    return [printable(cell) if isinstance(cell, str) else cell for cell in row]
