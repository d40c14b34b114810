"""Checkpoints as any model hub holds them: weights, tokenizer, processor, chat template."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from vsd.zoo.training.family import Family
from vsd.zoo.training.models import STORED, processor_of


def export(family: Family, model: Any, folder: Path) -> None:
    """Writes the model, its weights in the type STORED. The model stays as it is."""
    processor: Any = processor_of(family)
    stored = copy.deepcopy(model).to("cpu", STORED)
    stored.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    stored.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    stored.save_pretrained(folder)
    processor.save_pretrained(folder)
