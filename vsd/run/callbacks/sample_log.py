"""Writes every finished sample to the run folder at once, so that nothing finished is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from vsd.metrics.record import Record
from vsd.run.report.folder import RunFolder


class SampleLog(Callback):
    """Appends to samples.jsonl, and `then` hands the sample on."""

    def __init__(self, folder: RunFolder, *, then: Callable[[Record], None] | None = None) -> None:
        self.folder = folder
        self.then = then

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.folder.append(outputs["record"])
        if self.then is not None:
            self.then(outputs["record"])
