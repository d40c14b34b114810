"""Weights in fewer bits than the checkpoint has: `quantisation` says how the text model's are held.

A decoding pass reads every weight for a few rows, so at batch 1 it takes as long as they take to be read. torchao holds
those of the text model's linear layers as 8-bit integers, one scale for each output, and computes in the run's dtype.
Embeddings, head and vision tower stay as they are. It is another model: its tokens are its own, and a lossless run is
held against this very target.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch

from vsd.utils.validation import require, require_one_of

Quantisation = Literal["none", "int8"]
"""How the weights of the text model's linear layers are held: as the dtype says, or as 8-bit integers."""
QUANTISATIONS: tuple[Quantisation, ...] = get_args(Quantisation)


def check_quantisation(quantisation: str, *, dtype: torch.dtype, spread: bool, field: str = "quantisation") -> None:
    """Raise ValueError unless it is one of QUANTISATIONS, and none for a model that is `spread` over devices or
    processes, in float64, and without torchao."""
    require_one_of(field, quantisation, QUANTISATIONS)
    if quantisation == "none":
        return
    require(field, "none beside a device_map or a tp_plan", quantisation, not spread)
    require(field, "none in float64, which torchao lacks", quantisation, dtype != torch.float64)
    if find_spec("torchao") is None:
        raise ValueError(f"{field}: int8 needs torchao (pip install 'vsd[int8]'), got {quantisation!r} without it")


def quantise(model: Any, quantisation: Quantisation) -> None:
    """Hold the weights of this text model so, in place."""
    if quantisation == "int8":
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        quantize_(model, Int8WeightOnlyConfig())
