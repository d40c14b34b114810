"""From a path to a model: what a checkpoint is, whether two fit together, and loading one.

`inspect` and `check_pair` read the configuration, the tokenizer and the processor only, `check_placement` and
`check_contents` the names and shapes of the weights too, so a bad combination is refused before any weight is loaded.
Every error is a ValueError that names the field, the rule and the value.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from transformers import AutoProcessor
from transformers.distributed.configuration_utils import DistributedConfig

from vsd.evidence import check_need
from vsd.models import hardware, hub
from vsd.models.attention import ATTENTIONS, Attention
from vsd.models.base import ROPES, Computing, Rope, VideoLM, chat
from vsd.models.config import hollow_model, quantised, read_config
from vsd.models.families import FAMILIES
from vsd.models.files import check_folder
from vsd.models.generation_config import beyond_greedy
from vsd.models.placement import (
    DeviceMap,
    check_device,
    check_device_map,
    check_modules,
    check_placed,
    check_tp_plan,
    full_name,
)
from vsd.models.quantisation import Quantisation, check_quantisation, quantise
from vsd.models.scaling import Viewer
from vsd.models.steps import COMPILES, Compile
from vsd.models.weights import check_report, check_weights, is_short, without_bar
from vsd.types import Dtype
from vsd.utils import distributed
from vsd.utils.validation import first_line, is_whole, require, require_one_of
from vsd.zoo import WEIGHTS

log = logging.getLogger(__name__)

_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in get_args(Dtype)}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a checkpoint says of itself without its weights. `tokenizer` is a fingerprint of all tokens and their
    ids."""

    path: str
    model_type: str
    depth: int
    context: int
    vocab: int
    tokenizer: str
    quantised: bool = False


def resolve(path: str, *, field: str = "target") -> str:
    """The folder or hub name that `path` means: `zoo:family/role` is a bundled checkpoint.

    Raises ValueError if a folder is meant that does not exist.
    """
    if path.startswith("zoo:"):
        folders = [config.parent for config in WEIGHTS.glob("*/*/config.json")]
        known = {f"zoo:{one.relative_to(WEIGHTS).as_posix()}": one for one in sorted(folders)}
        if path not in known:
            raise ValueError(f"{field}.path: a bundled checkpoint must be one of {[*known]}, got {path!r}")
        folder = known[path]
    else:
        folder = Path(path).expanduser()
    if folder.is_file():
        raise ValueError(f"{field}.path: a checkpoint must be a folder or a hub name, got the file {path!r}")
    if not folder.is_dir():
        if path.count("/") <= 1 and not path.startswith((".", "/", "~")):
            return path
        raise ValueError(f"{field}.path: the checkpoint folder must exist, got {path!r}")
    return str(folder)


def fetch(path: str, *, field: str = "target", weights: bool = False) -> Path:
    """The folder that holds the checkpoint; that of a hub name is downloaded, with its `weights` or without.

    Raises ValueError if there is none, or if it lacks a file or is a checkpoint of another kind.
    """
    source = resolve(path, field=field)
    folder = Path(source if Path(source).is_dir() else hub.fetch(source, field=field, weights=weights))
    check_folder(folder, field=field)
    return folder


def inspect(path: str, *, max_pixels: int | None = None, field: str = "target") -> ModelInfo:
    """Read configuration, tokenizer and processor.

    Raises ValueError if they cannot be found or read, if the family is not supported, without a chat template that
    shows the video, and if the family cannot bound the pixels of a frame to `max_pixels`.
    """
    folder = fetch(path, field=field)
    config = read_config(folder, field=field)
    processor = read_processor(folder, field=field)
    _check_template(processor, config, path, field)
    FAMILIES[config.model_type][0].frame_options(processor, max_pixels, field=field)
    vocabulary = processor.tokenizer.get_vocab()
    return ModelInfo(
        path=path,
        model_type=config.model_type,
        depth=config.text_config.num_hidden_layers,
        context=config.text_config.max_position_embeddings,
        vocab=config.text_config.vocab_size,
        tokenizer=hashlib.sha256(json.dumps(sorted(vocabulary.items())).encode()).hexdigest()[:16],
        quantised=quantised(config),
    )


def check_pair(target: ModelInfo, draft: ModelInfo) -> None:
    """Raise ValueError unless both are of one family and their tokenizers agree on all ids. Padded vocabulary sizes
    may differ."""
    if target.model_type != draft.model_type:
        raise ValueError(
            "draft.path: target and draft must be of one family, since both must see the video on the same grid, "
            f"got {target.model_type} and {draft.model_type} in {draft.path!r}"
        )
    if target.tokenizer != draft.tokenizer:
        raise ValueError(
            "draft.path: target and draft have different tokenizers, and must agree on all ids: "
            f"{target.path!r} ({target.tokenizer}) and {draft.path!r} ({draft.tokenizer})"
        )


def computing(option: Mapping[str, Any]) -> Computing:
    """How a model with these dials computes."""
    how: Any = {name: option[name] for name in Computing.__annotations__}
    return cast(Computing, how)


def same_weights(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether models with these dials are one, however each computes."""
    names = (one.keys() | other.keys()) - computing(one).keys()
    return all(one.get(name) == other.get(name) for name in names)


def check_needs(target: ModelInfo, needs: Iterable[str]) -> None:
    """Raise ValueError if a method needs evidence that the target does not have."""
    for need in sorted(needs):
        check_need(need, target.depth)


def read_draft_vocab(path: str) -> list[int]:
    """The token ids of a file that `vsd calibrate` wrote. Raises ValueError for any other file."""
    try:
        tokens = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tokens = None
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, int) and token >= 0 for token in tokens):
        raise ValueError(f"draft_vocab: must be a JSON file with a list of token ids, got {path!r}")
    return tokens


def check_dtype(dtype: str, *, field: str = "dtype") -> torch.dtype:
    """The dtype of that name. Raises ValueError for any other."""
    if dtype not in _DTYPES:
        raise ValueError(f"{field}: the dtype must be one of {sorted(_DTYPES)}, got {dtype!r}")
    return _DTYPES[dtype]


def check_rope(rope: str, *, field: str = "rope") -> None:
    """Raise ValueError unless it is one of ROPES."""
    require_one_of(field, rope, ROPES)


def check_compile(compile: str, *, device: str, spread: bool, field: str = "compile") -> None:
    """Raise ValueError unless it is one of COMPILES, none for a model that is `spread` over devices or processes, and
    one for which this `device` has what it takes: a GPU for CUDA graphs, for inductor a GPU or a C++ compiler."""
    require_one_of(field, compile, COMPILES)
    if spread:
        require(field, "none beside a device_map or a tp_plan", compile, compile == "none")
    on_gpu = device.startswith("cuda")
    require(field, f"another than cudagraph on {device}", compile, on_gpu or compile != "cudagraph")
    if compile == "inductor" and not on_gpu and not has_compiler():
        raise ValueError(f"{field}: inductor needs a C++ compiler (g++, or CXX) on a CPU, got {compile!r} without one")


def check_attention(
    attention: str, *, device: str, dtype: torch.dtype, spread: bool = False, field: str = "attention"
) -> None:
    """Raise ValueError unless it is one of ATTENTIONS, and one that this `device` can compute in this `dtype`, if the
    model is not `spread` over others."""
    require_one_of(field, attention, ATTENTIONS)
    unable = attention == "split" and dtype == torch.float64 and device.startswith("cuda") and not spread
    require(field, f"another than split in float64 on {device}", attention, not unable)


def check_options(
    *,
    dtype: str,
    rope: str,
    compile: str,
    prefill_chunk: int | None,
    attention: str,
    quantisation: str,
    device: str,
    spread: bool,
    field: str = "target",
) -> torch.dtype:
    """Raise ValueError for a value of a model's dials that cannot be, whatever its checkpoint is; `spread`: it lies on
    several devices or in several processes. Returns the dtype."""
    kind = check_dtype(dtype, field=f"{field}.dtype")
    check_rope(rope, field=f"{field}.rope")
    check_compile(compile, device=device, spread=spread, field=f"{field}.compile")
    check_chunk(prefill_chunk, field=f"{field}.prefill_chunk")
    check_attention(attention, device=device, dtype=kind, spread=spread, field=f"{field}.attention")
    check_quantisation(quantisation, dtype=kind, spread=spread, field=f"{field}.quantisation")
    return kind


def check_unquantised(info: ModelInfo, quantisation: str, *, field: str = "target") -> None:
    """Raise ValueError for a checkpoint that is quantised already and is to be once more."""
    fine = quantisation == "none" or not info.quantised
    require(f"{field}.quantisation", f"none for {info.path!r}, which is quantised already", quantisation, fine)


def has_compiler() -> bool:
    """Whether there is the C++ compiler that inductor takes on a CPU."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def check_chunk(prefill_chunk: int | None, *, field: str = "prefill_chunk") -> None:
    """Raise ValueError unless it is None or a number of tokens."""
    fine = prefill_chunk is None or is_whole(prefill_chunk, least=1)
    require(field, "null or a whole number, at least 1", prefill_chunk, fine)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model that is still to be loaded, by whoever will run it. `vocab` cuts its head to so many tokens, `tokens` to
    these (see `VideoLM.narrow` and `VideoLM.trim`)."""

    path: str
    device: str = "cpu"
    dtype: Dtype = "float32"
    device_map: DeviceMap = None
    tp_plan: str | None = None
    rope: Rope = "trained"
    max_pixels: int | None = None
    compile: Compile = "none"
    prefill_chunk: int | None = None
    attention: Attention = "auto"
    quantisation: Quantisation = "none"
    field: str = "draft"
    vocab: int | None = None
    tokens: tuple[int, ...] = ()

    @property
    def device_names(self) -> frozenset[str]:
        """The names of the devices that it will be loaded to; an automatic map may take all GPUs."""
        if self.device_map is None:
            devices: Iterable[str | int] = (self.device,)
        elif isinstance(self.device_map, Mapping):
            devices = self.device_map.values()
        else:
            devices = range(hardware.gpu_count()) or (self.device,)
        return frozenset(full_name(device) for device in devices)

    @property
    def viewer(self) -> Viewer:
        """How it sees frames, by its processor's files."""
        folder = fetch(self.path, field=self.field)
        family, _ = FAMILIES[read_config(folder, field=self.field).model_type]
        processor = read_processor(folder, field=self.field)
        return Viewer(family=family, processor=processor, max_pixels=self.max_pixels)

    def fetch(self) -> None:
        """Download it, if it is a hub name, so that loading it takes no longer than reading it does."""
        fetch(self.path, field=self.field, weights=True)

    def load(self) -> VideoLM:
        """The model. Raises ValueError as `load` does."""
        model = load(
            self.path,
            device=self.device,
            dtype=self.dtype,
            device_map=self.device_map,
            tp_plan=self.tp_plan,
            rope=self.rope,
            max_pixels=self.max_pixels,
            compile=self.compile,
            prefill_chunk=self.prefill_chunk,
            attention=self.attention,
            quantisation=self.quantisation,
            vocab=self.vocab,
            field=self.field,
        )
        return model.trim(self.tokens) if self.tokens else model


def load(
    path: str,
    *,
    device: str = "cpu",
    dtype: Dtype = "float32",
    device_map: DeviceMap = None,
    tp_plan: str | None = None,
    rope: Rope = "trained",
    max_pixels: int | None = None,
    compile: Compile = "none",
    prefill_chunk: int | None = None,
    attention: Attention = "auto",
    quantisation: Quantisation = "none",
    vocab: int | None = None,
    field: str = "target",
) -> VideoLM:
    """Load a model from the hub, a local folder or the bundled zoo (`zoo:qwen2_5_vl/target`), straight to its devices.

    `dtype` is float32, float64, bfloat16 or float16; `device_map` spreads the model over several devices, as
    transformers takes it, and then `device` is ignored; `tp_plan` "auto" gives each process of torchrun a share of
    every layer; `rope` says whose rotary positions are used (see `vsd.models.base.ROPES`); `max_pixels` bounds the
    pixels of a frame (None: as the checkpoint says); `compile` says how decoding passes are computed (see
    `vsd.models.steps`); a prompt is read `prefill_chunk` tokens at a time (None: at once); `attention` says how rows
    attend under a mask (see `vsd.models.attention`); `quantisation` says how the text model's weights are held (see
    `vsd.models.quantisation`); `vocab` cuts the logits to that many tokens (see `VideoLM.narrow`); `field` is what
    error messages call the model. Raises ValueError as `check_options` and `inspect` do, and if the weights cannot be
    read.
    """
    kind = check_options(
        dtype=dtype,
        rope=rope,
        compile=compile,
        prefill_chunk=prefill_chunk,
        attention=attention,
        quantisation=quantisation,
        device=device,
        spread=device_map is not None or tp_plan is not None,
        field=field,
    )
    info = inspect(path, max_pixels=max_pixels, field=field)
    check_unquantised(info, quantisation, field=field)
    check_placement(path, device=device, device_map=device_map, tp_plan=tp_plan, field=field)
    check_contents(path, field=field)
    folder = fetch(path, field=field, weights=True)
    adapter, model_class = FAMILIES[info.model_type]
    processor = read_processor(folder, field=field)
    where: dict[str, Any] = {"device_map": {"": full_name(device)}}
    if tp_plan is not None:
        distributed.join()
        where = {"distributed_config": DistributedConfig(tp_plan="auto")}
    elif device_map is not None:
        where = {"device_map": dict(device_map) if isinstance(device_map, Mapping) else device_map}
    with without_bar() if is_short(folder, field=field) else nullcontext():
        loaded, report = _read(model_class, folder, path, field, dtype=kind, output_loading_info=True, **where)
    check_report(report, name=path, field=field)
    if device_map is not None:
        check_placed(loaded, field=f"{field}.device_map")
    if field == "target":
        _warn_of_generation(loaded, path)
    quantise(loaded.model.language_model, quantisation)
    options: dict[str, Any] = {"rope": rope, "max_pixels": max_pixels, "attention": attention}
    model = adapter(loaded, processor, name=path, compile=compile, prefill_chunk=prefill_chunk, **options)
    return model if vocab is None else model.narrow(vocab)


def check_placement(
    path: str, *, device: str, device_map: DeviceMap, tp_plan: str | None = None, field: str = "target"
) -> None:
    """Raise ValueError for devices that are not here, or a device map or plan that does not fit this checkpoint."""
    if device_map is None:
        check_device(device, field=f"{field}.device")
    check_device_map(device_map, field=f"{field}.device_map")
    config = read_config(fetch(path, field=field), field=field)
    check_tp_plan(tp_plan, config, device=device, device_map=device_map, field=field)
    if isinstance(device_map, Mapping):
        model = hollow_model(config, dtype=torch.float32, name=path, field=field)
        check_modules(device_map, model, field=f"{field}.device_map")


def check_contents(path: str, *, field: str = "target") -> None:
    """Raise ValueError unless the checkpoint holds the weights of its model, all of them and no others, by their names
    and shapes. A hub name's are downloaded."""
    folder = fetch(path, field=field, weights=True)
    check_weights(folder, read_config(folder, field=field), field=field)


def read_processor(folder: Path, *, field: str) -> Any:
    """The checkpoint's processor. Raises ValueError if it cannot be read."""
    return _read(AutoProcessor, folder, str(folder), field)


def _check_template(processor: Any, config: Any, path: str, field: str) -> None:
    if not processor.chat_template:
        rule = "a checkpoint must hold a chat template (chat_template.jinja or chat_template.json)"
        raise ValueError(f"{field}.path: {rule}, got none in {path!r}")
    placeholder = processor.tokenizer.convert_ids_to_tokens(config.video_token_id)
    try:
        count = chat(processor, "?").count(placeholder)
    except Exception as error:
        reason = first_line(error)
        raise ValueError(f"{field}.path: its chat template must be readable, got {path!r} ({reason})") from error
    if count != 1:
        rule = f"its chat template must show a video once, as {placeholder}"
        raise ValueError(f"{field}.path: {rule}, got {count} of them in {path!r}")


def _warn_of_generation(model: Any, path: str) -> None:
    changed = beyond_greedy(model)
    if changed:
        settings = ", ".join(f"{name}={value}" for name, value in changed.items())
        log.warning(
            "target.path: the generation config of %s asks for %s, which vsd does not apply: it decodes by the plain "
            "logits, so greedy generate's tokens can differ",
            *(path, settings),
        )


def _read(reader: Any, folder: Path, path: str, field: str, **options: Any) -> Any:
    try:
        return reader.from_pretrained(folder, **options)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # files that are no longer what they should be fail in every way there is
        reason = first_line(error)
        raise ValueError(
            f"{field}.path: {path!r} must be a checkpoint folder or a hub name that can be read from here ({reason})"
        ) from error
