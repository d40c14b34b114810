"""Weights in fewer bits than the checkpoint has: `quantisation` says how the text model's are held.

A decoding pass reads every weight for a few rows, so at batch 1 it takes as long as they take to be read. torchao holds
those of the text model's linear layers as 8-bit integers, one scale for each output, and computes in the run's dtype.
Embeddings, head and vision tower stay as they are. It is another model: its tokens are its own, and a lossless run is
held against this very target.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args

import torch

from vsd.utils.validation import first_line, require, require_one_of

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
    try:
        _torchao()
    except ImportError as error:
        what = f"int8 needs torchao (pip install 'torchao>=0.18'), got {quantisation!r} without it"
        raise ValueError(f"{field}: {what} ({first_line(error)})") from error


def quantise(model: Any, quantisation: Quantisation) -> None:
    """Hold the weights of this text model so, in place."""
    if quantisation == "int8":
        torchao = _torchao()
        torchao.quantize_(model, torchao.Int8WeightOnlyConfig())


def linear_weights(model: torch.nn.Module) -> set[str]:
    """The names of the weights that `quantise` holds in fewer bits, of the whole model."""
    inside = "model.language_model."
    linear = (name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear))
    return {f"{name}.weight" for name in linear if name.startswith(inside)}


def _torchao() -> Any:
    """Imported where it is asked for: it is an extra."""
    return importlib.import_module("torchao.quantization")
