"""The configuration of a checkpoint, and what of it vsd cannot run. Nothing here reads a weight."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig
from transformers.quantizers.auto import AutoHfQuantizer

from vsd.models.families import FAMILIES
from vsd.models.files import read_json
from vsd.models.layers import check_full_attention
from vsd.utils.validation import first_line

_INSTALL = re.compile(r"pip install (?:-\S+ )*['\"]?([^\s`'\")]+)")
_MODULE = re.compile(r"No module named '([^'.]+)")


def read_config(folder: Path, *, field: str) -> Any:
    """The configuration as transformers reads it.

    Raises ValueError for another family, without settings of the text or vision model, for layers without full
    attention, and for a quantisation or an attention whose package is missing.
    """
    raw = read_json(folder / "config.json", field=field)
    kind = raw.get("model_type")
    if kind not in FAMILIES:
        raise ValueError(f"{field}.path: model_type must be one of {sorted(FAMILIES)}, got {kind!r} in {str(folder)!r}")
    if "text_config" not in raw and "hidden_size" not in raw:  # Qwen2.5-VL's first checkpoints are flat
        raise ValueError(f"{field}.path: config.json must hold a text_config, got none in {str(folder)!r}")
    if "vision_config" not in raw:
        raise ValueError(f"{field}.path: config.json must hold a vision_config, got none in {str(folder)!r}")
    try:
        config = AutoConfig.from_pretrained(folder)
    except Exception as error:
        rule = "config.json must be one that transformers can read"
        raise ValueError(f"{field}.path: {rule}, got {str(folder)!r} ({first_line(error)})") from error
    check_full_attention(config.text_config, name=str(folder), field=f"{field}.path")
    _check_quantisation(config, str(folder), field)
    return config


def hollow_model(config: Any, *, dtype: torch.dtype, name: str, field: str) -> Any:
    """The model without its weights. Raises ValueError if the package of the attention it asks for is missing."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with attention_package(config, name=name, field=field), torch.device("meta"):
            return FAMILIES[config.model_type][1](copy.deepcopy(config))
    finally:
        torch.set_default_dtype(before)


@contextmanager
def attention_package(config: Any, *, name: str, field: str) -> Iterator[None]:
    """While it is entered, a model may be made. Raises ValueError if the package of the attention that the config asks
    for is missing: the text model gets our own, but the vision tower runs as the config says."""
    try:
        yield
    except ImportError as error:
        attention = getattr(config, "_attn_implementation", None)
        package = "flash-attn" if attention == "flash_attention_2" else attention
        rule = f"a checkpoint that asks for {attention} needs its package (pip install {package})"
        raise ValueError(f"{field}.path: {rule}, got {name!r} without it ({first_line(error)})") from error


def quantised(config: Any) -> bool:
    """Whether the checkpoint's weights are quantised: their names and sizes are then their method's own."""
    return getattr(config, "quantization_config", None) is not None


def _check_quantisation(config: Any, name: str, field: str) -> None:
    if not quantised(config):
        return
    setting = config.quantization_config
    setting = setting if isinstance(setting, dict) else setting.to_dict()
    method = setting.get("quant_method") or "bitsandbytes"
    try:
        quantizer = AutoHfQuantizer.from_config(copy.deepcopy(setting), pre_quantized=True)
        quantizer.validate_environment(dtype=torch.float32, device_map={"": "cpu"}, weights_only=True)
    except ImportError as error:
        match = _INSTALL.search(str(error)) or _MODULE.search(str(error))
        package = match[1].rstrip(".") if match else method
        rule = f"a checkpoint quantised by {method} needs {package} (pip install '{package}')"
        raise ValueError(f"{field}.path: {rule}, got {name!r} without it") from error
    except Exception as error:
        rule = f"its quantisation, {method}, must be one that transformers can run here"
        raise ValueError(f"{field}.path: {rule}, got {name!r} ({first_line(error)})") from error
