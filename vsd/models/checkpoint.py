"""From a path to a model: what a checkpoint is, whether two fit together, and loading one.

`inspect` and `check_pair` read the configuration and the tokenizer only, so a bad combination is refused before any
weight is loaded. Every error is a ValueError that names the field, the rule and the value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoProcessor,
    AutoTokenizer,
    LlavaOnevisionForConditionalGeneration,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.distributed import DistributedConfig

from vsd import ranks
from vsd.fields import require_one_of
from vsd.models.base import ROPES, VideoLM
from vsd.models.hidden import layer_number
from vsd.models.llava_onevision import LlavaOneVision
from vsd.models.placement import (
    DeviceMap,
    check_device,
    check_device_map,
    check_modules,
    check_placed,
    check_tp_plan,
    full_name,
)
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.zoo import WEIGHTS

_FAMILIES: dict[str, tuple[type[VideoLM], Any]] = {
    Qwen25VL.model_type: (Qwen25VL, Qwen2_5_VLForConditionalGeneration),
    LlavaOneVision.model_type: (LlavaOneVision, LlavaOnevisionForConditionalGeneration),
}
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.bin.index.json")
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a checkpoint says of itself without its weights. `tokenizer` is a fingerprint of all words and their ids."""

    path: str
    model_type: str
    depth: int
    context: int
    vocab: int
    tokenizer: str


def resolve(path: str, *, field: str = "target") -> str:
    """The folder or hub name that `path` means: `zoo:family/role` is a bundled checkpoint.

    Raises ValueError if a folder is meant that does not exist, or that lacks a configuration or weights.
    """
    if path.startswith("zoo:"):
        folder = WEIGHTS / path.removeprefix("zoo:")
        if not folder.is_dir():
            known = sorted(f"zoo:{config.parent.relative_to(WEIGHTS)}" for config in WEIGHTS.glob("*/*/config.json"))
            raise ValueError(f"{field}.path: a bundled checkpoint must be one of {known}, got {path!r}")
    else:
        folder = Path(path).expanduser()
    if not folder.is_dir():
        if path.count("/") <= 1 and not path.startswith((".", "/", "~")):
            return path
        raise ValueError(f"{field}.path: the checkpoint folder must exist, got {path!r}")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{field}.path: a checkpoint folder must hold a config.json, got {path!r}")
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        raise ValueError(f"{field}.path: a checkpoint folder must hold weights (*.safetensors), got {path!r}")
    return str(folder)


def inspect(path: str, *, field: str = "target") -> ModelInfo:
    """Read configuration and tokenizer. Raises ValueError if they cannot be found or the family is not supported."""
    config = _config(path, field)
    words = _read(AutoTokenizer, resolve(path, field=field), path, field).get_vocab()
    return ModelInfo(
        path=path,
        model_type=config.model_type,
        depth=config.text_config.num_hidden_layers,
        context=config.text_config.max_position_embeddings,
        vocab=config.text_config.vocab_size,
        tokenizer=hashlib.sha256(json.dumps(sorted(words.items())).encode()).hexdigest()[:16],
    )


def check_pair(target: ModelInfo, draft: ModelInfo) -> None:
    """Raise ValueError unless both tokenizers agree on all ids. Padded vocabulary sizes may differ."""
    if target.tokenizer != draft.tokenizer:
        raise ValueError(
            "draft.path: target and draft have different tokenizers, and must agree on all ids: "
            f"{target.path!r} ({target.tokenizer}) and {draft.path!r} ({draft.tokenizer})"
        )


def check_layers(target: ModelInfo, needs: frozenset[str]) -> None:
    """Raise ValueError if a method needs the hidden states of a layer that the target does not have."""
    for need in sorted(needs):
        if need.startswith("hidden:"):
            layer_number(need.removeprefix("hidden:"), target.depth)


def read_words(path: str) -> list[int]:
    """The token ids of a file that `python -m vsd.calibrate` wrote. Raises ValueError for any other file."""
    try:
        words = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(word, int) and word >= 0 for word in words):
        raise ValueError(f"draft_words: must be a JSON file with a list of token ids, got {path!r}")
    return words


def check_dtype(dtype: str, *, field: str = "dtype") -> torch.dtype:
    """The dtype of that name. Raises ValueError for any other."""
    if dtype not in _DTYPES:
        raise ValueError(f"{field}: the dtype must be one of {sorted(_DTYPES)}, got {dtype!r}")
    return _DTYPES[dtype]


def check_rope(rope: str, *, field: str = "rope") -> None:
    """Raise ValueError unless it is one of ROPES."""
    require_one_of(field, rope, ROPES)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model that is still to be loaded, by whoever will run it. `vocab` cuts its head to so many words, `words` to
    these (see `VideoLM.narrow` and `VideoLM.trim`)."""

    path: str
    device: str = "cpu"
    dtype: str = "float32"
    device_map: DeviceMap = None
    tp_plan: str | None = None
    rope: str = "trained"
    field: str = "draft"
    vocab: int | None = None
    words: tuple[int, ...] = ()

    @property
    def places(self) -> frozenset[str]:
        """The names of the devices that it will be loaded to; an automatic map may take all GPUs."""
        if self.device_map is None:
            places: Iterable[str | int] = (self.device,)
        elif isinstance(self.device_map, Mapping):
            places = self.device_map.values()
        else:
            places = range(torch.cuda.device_count()) or (self.device,)
        return frozenset(full_name(place) for place in places)

    def load(self) -> VideoLM:
        """The model. Raises ValueError as `load` does."""
        model = load(
            self.path,
            device=self.device,
            dtype=self.dtype,
            device_map=self.device_map,
            tp_plan=self.tp_plan,
            rope=self.rope,
            vocab=self.vocab,
            field=self.field,
        )
        return model.trim(self.words) if self.words else model


def load(
    path: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    device_map: DeviceMap = None,
    tp_plan: str | None = None,
    rope: str = "trained",
    vocab: int | None = None,
    field: str = "target",
) -> VideoLM:
    """Load a model from the hub, a local folder or the bundled zoo (`zoo:qwen2_5_vl/target`).

    `dtype` is float32, float64, bfloat16 or float16; `device_map` spreads the model over several devices, as
    transformers takes it, and then `device` is ignored; `tp_plan` "auto" gives each process of torchrun a share of
    every layer; `rope` says whose rotary positions are used (see `vsd.models.base.ROPES`); `vocab` cuts the logits to
    that many words (see `VideoLM.narrow`); `field` is what error messages call the model. Raises ValueError as the
    checks above do, and if the weights cannot be read.
    """
    kind = check_dtype(dtype, field=f"{field}.dtype")
    check_rope(rope, field=f"{field}.rope")
    check_placement(path, device=device, device_map=device_map, tp_plan=tp_plan, field=field)
    info = inspect(path, field=field)
    source = resolve(path, field=field)
    adapter, model_class = _FAMILIES[info.model_type]
    processor = _read(AutoProcessor, source, path, field)
    if tp_plan is not None:
        ranks.join()
        shares = DistributedConfig(tp_plan="auto")
        model = _read(model_class, source, path, field, dtype=kind, distributed_config=shares)
    elif device_map is None:
        model = _read(model_class, source, path, field, dtype=kind).to(device)
    else:
        where = dict(device_map) if isinstance(device_map, Mapping) else device_map
        model = _read(model_class, source, path, field, dtype=kind, device_map=where)
        check_placed(model, field=f"{field}.device_map")
    loaded = adapter(model, processor, name=path, rope=rope)
    return loaded if vocab is None else loaded.narrow(vocab)


def check_placement(
    path: str, *, device: str, device_map: DeviceMap, tp_plan: str | None = None, field: str = "target"
) -> None:
    """Raise ValueError for devices that are not here, or a device map or plan that does not fit this checkpoint."""
    if device_map is None:
        check_device(device, field=f"{field}.device")
    check_device_map(device_map, field=f"{field}.device_map")
    config = _config(path, field)
    check_tp_plan(tp_plan, config, device=device, device_map=device_map, field=field)
    if isinstance(device_map, Mapping):
        with torch.device("meta"):  # the modules without their weights
            model = _FAMILIES[config.model_type][1](config)
        check_modules(device_map, model, field=f"{field}.device_map")


def _config(path: str, field: str) -> Any:
    config = _read(AutoConfig, resolve(path, field=field), path, field)
    if config.model_type not in _FAMILIES:
        raise ValueError(
            f"{field}.path: model_type must be one of {sorted(_FAMILIES)}, got {config.model_type!r} in {path!r}"
        )
    return config


def _read(reader: Any, source: str, path: str, field: str, **options: Any) -> Any:
    try:
        return reader.from_pretrained(source, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{field}.path: {path!r} must be a checkpoint folder or a hub name that can be read from here ({reason})"
        ) from error
