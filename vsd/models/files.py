"""The files of a checkpoint folder: which must be there, and what is wrong with one that cannot be read.

Every refusal is a ValueError whose message names the field, the rule and the value. No weight is read here, only the
names, types and shapes at the head of a file of weights.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vsd.utils.validation import first_line

TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json")
PROCESSOR = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
ADAPTER = "adapter_config.json"
_READ = (
    *("config.json", "generation_config.json", "chat_template.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *PROCESSOR,
)
_LFS = b"version https://git-lfs"
# The first of these that is there is what transformers loads.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def check_folder(folder: Path, *, field: str) -> None:
    """Raise ValueError unless the folder holds a configuration, a tokenizer and a processor that can be read, and is no
    adapter."""
    if (folder / ADAPTER).is_file():
        rule = "must hold a whole model, no LoRA or other PEFT adapter: merge it first (peft's merge_and_unload)"
        raise ValueError(f"{field}.path: a checkpoint folder {rule}, got {ADAPTER} in {str(folder)!r}")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{field}.path: a checkpoint folder must hold a config.json, got {str(folder)!r}")
    _check_any(folder, TOKENIZER, "a tokenizer", field)
    _check_any(folder, PROCESSOR, "the settings of a processor", field)
    for name in _READ:
        if (folder / name).is_file():
            read_json(folder / name, field=field)


def weight_files(folder: Path, *, field: str) -> list[Path]:
    """The files that hold the weights. Raises ValueError if there are none, if one of them is missing or empty, or if
    one is a pointer of git-lfs."""
    first = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        rule = f"must hold weights ({' or '.join(_WEIGHTS[:2])})"
        raise ValueError(f"{field}.path: a checkpoint folder {rule}, got {str(folder)!r}")
    files = [first]
    if first.suffix == ".json":
        places = read_json(first, field=field).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ValueError(f"{field}.path: an index of weights must hold a weight_map, got none in {str(first)!r}")
        files = [folder / name for name in sorted(set(places.values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        rule = f"must hold all {len(files)} files that {first.name} names"
        got = f"no {missing[0]} ({len(missing)} missing) in {str(folder)!r}"
        raise ValueError(f"{field}.path: a checkpoint folder {rule}, got {got}")
    for file in files:
        if file.stat().st_size == 0:
            raise ValueError(f"{field}.path: a file of weights must not be empty, got {str(file)!r}")
        _check_no_pointer(file, field)
    return files


def read_headers(files: list[Path], *, field: str) -> dict[str, Tensor]:
    """The weights of these files by name, as tensors without values. Raises ValueError if a file cannot be read."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
        except (SafetensorError, UnpicklingError, OSError, RuntimeError, ValueError, EOFError) as error:
            said = f"got {str(file)!r} ({first_line(error)})"
            raise ValueError(f"{field}.path: weights must be readable, {said}") from error
    return tensors


def read_json(file: Path, *, field: str) -> dict[str, Any]:
    """The object in this file. Raises ValueError if it is none, or cut short."""
    _check_no_pointer(file, field)
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = f"{file.name} must be a JSON file"
        raise ValueError(f"{field}.path: {rule}, got {str(file)!r} ({first_line(error)})") from error
    if not isinstance(value, dict):
        rule = f"{file.name} must hold a JSON object"
        raise ValueError(f"{field}.path: {rule}, got a {type(value).__name__} in {str(file)!r}")
    return value


def _check_any(folder: Path, names: tuple[str, ...], what: str, field: str) -> None:
    if not any((folder / name).is_file() for name in names):
        rule = f"must hold {what} ({' or '.join(names)})"
        raise ValueError(f"{field}.path: a checkpoint folder {rule}, got none in {str(folder)!r}")


def _check_no_pointer(file: Path, field: str) -> None:
    with file.open("rb") as stream:
        if stream.read(len(_LFS)) == _LFS:
            rule = "must be the file itself, not a git-lfs pointer to it: run git lfs pull"
            raise ValueError(f"{field}.path: {file.name} {rule}, got {str(file)!r}")


def _safetensors(file: Path) -> dict[str, Tensor]:
    with safe_open(file, "pt") as stream:
        return {name: _hollow(stream.get_slice(name)) for name in stream.keys()}  # noqa: SIM118 - no mapping


def _hollow(header: Any) -> Tensor:
    return torch.empty(header.get_shape(), device="meta")


def _pickled(file: Path) -> dict[str, Tensor]:
    weights = torch.load(file, map_location="meta", weights_only=True, mmap=zipfile.is_zipfile(file))
    if not isinstance(weights, Mapping):
        raise ValueError(f"a {type(weights).__name__}, no weights by name")
    return dict(weights)
