"""Whether the models of a run fit their devices, before a weight is loaded, and what helps if they do not.

Counted are the weights in the dtype they are loaded in, or as they are held once they are quantised, and the KV caches
of the expected prompt. What else a run takes (the activations of a prefill, the frames, weights before they are
quantised) comes on top, so what is refused here could not have run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vsd.models.cache import bucket
from vsd.models.config import hollow_model, quantised
from vsd.models.files import weight_files
from vsd.models.quantisation import Quantisation, linear_weights

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a model takes on its devices, in bytes: `weights`, and the `cache` of the expected prompt and generation.

    `role` is target or draft; `devices` are those it may be spread over as they have room; `itemsize` is the bytes of
    one value. `fixed`: the weights are quantised, and no dtype makes them smaller.
    """

    role: str
    devices: frozenset[str]
    weights: int
    cache: int
    itemsize: int
    fixed: bool = False

    @property
    def total(self) -> int:
        return self.weights + self.cache


def needs_of(
    config: Any,
    folder: Path,
    *,
    role: str,
    dtype: torch.dtype,
    devices: Iterable[str],
    rows: int,
    device_map: Mapping[str, str] | None = None,
    ranks: int = 1,
    shares_weights: bool = False,
    quantisation: Quantisation = "none",
) -> list[Need]:
    """What a checkpoint of this config takes, with `rows` tokens in its cache: one need, or with a `device_map` of
    modules one for each device. Each of `ranks` processes takes its share; `shares_weights`: they are loaded already.
    """
    weights = _weights(config, folder, dtype, role, quantisation)
    total = sum(weights.values())
    cache = bucket(rows) * cache_bytes(config.text_config, dtype)
    fixed = quantised(config) or quantisation != "none"
    common: dict[str, Any] = {"role": role, "itemsize": dtype.itemsize, "fixed": fixed}
    if device_map is None or fixed:  # which module holds how much of a quantised model is not known beforehand
        held = 0 if shares_weights else total // ranks
        names = frozenset(devices if device_map is None else device_map.values())
        return [Need(devices=names, weights=held, cache=cache // ranks, **common)]
    held_by = dict.fromkeys(device_map.values(), 0)
    for name, size in weights.items():
        inside = [module for module in device_map if module in ("", name) or name.startswith(f"{module}.")]
        held_by[device_map[max(inside, key=len)]] += size
    return [
        Need(
            devices=frozenset((device,)),
            weights=0 if shares_weights else size,
            cache=cache * size // total,  # its layers hold the cache, and most of the weights
            **common,
        )
        for device, size in held_by.items()
    ]


def cache_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of the keys and values of one token. `config` is the text model's."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * config.num_key_value_heads * head * dtype.itemsize)


def check_room(needs: Sequence[Need], free: Mapping[str, int]) -> None:
    """Raise ValueError if what shares some devices does not fit them.

    `free` are the bytes by device, those of GPUs that nobody uses too; a device that is not in it is not checked."""
    for devices in _groups(needs):
        if not devices <= free.keys():
            continue
        there = [need for need in needs if need.devices <= devices]
        if not _fit(there, devices, free):
            names, role = " and ".join(sorted(devices)), there[0].role
            raise ValueError(
                f"{role}.path: the weights and caches on {names} must fit its free memory, "
                f"{_total(there, devices, free)}; what helps: {_cure(needs, there, devices, free)}"
            )


def _groups(needs: Sequence[Need]) -> list[frozenset[str]]:
    """The sets of devices that something must fit, the small ones first."""
    own = {need.devices for need in needs}
    return sorted({*own, frozenset().union(*own)}, key=lambda devices: (len(devices), sorted(devices)))


def _fit(there: Sequence[Need], devices: Iterable[str], free: Mapping[str, int]) -> bool:
    return sum(need.total for need in there) <= sum(free[device] for device in devices)


def _total(there: Sequence[Need], devices: Iterable[str], free: Mapping[str, int]) -> str:
    parts = [
        f"{need.role} {gib(need.weights)} of weights and {gib(need.cache)} of cache"
        for need in sorted(there, key=lambda need: need.role, reverse=True)
    ]
    total = sum(need.total for need in there)
    return f"got {gib(total)} needed ({', '.join(parts)}) and {gib(sum(free[device] for device in devices))} free"


def _cure(needs: Sequence[Need], there: Sequence[Need], devices: frozenset[str], free: Mapping[str, int]) -> str:
    """The one thing that helps, the least costly first."""
    room = sum(free[device] for device in devices)
    if sum(need.total if need.fixed else need.total * min(need.itemsize, 2) // need.itemsize for need in there) <= room:
        return "dtype=bfloat16"
    drafts = [need for need in there if need.role == "draft"]
    rest = [need for need in there if need.role != "draft"]
    moved = sum(need.total for need in drafts)
    others = sorted(name for name in free.keys() - devices if name.startswith("cuda"))
    taken = {name: sum(need.total for need in needs if name in need.devices) for name in others}
    if drafts and rest and _fit(rest, devices, free):
        for name in others:
            if moved + taken[name] <= free[name]:
                return f"draft.device={name}"
    gpus = [name for name in free if name.startswith("cuda")]
    if rest and len(gpus) > 1 and len(devices) == 1 and _fit(needs, gpus, free):
        return "target.device_map=auto"
    if sum(need.weights for need in there) <= room:
        return "fewer frames, or fewer max_pixels"
    if drafts and rest and _fit(rest, devices, free):
        return "a smaller draft"
    return "a smaller model, or more memory"


def _weights(config: Any, folder: Path, dtype: torch.dtype, role: str, quantisation: Quantisation) -> dict[str, int]:
    """Bytes of the weights by name; those of a quantised checkpoint as its files hold them."""
    if quantised(config):
        try:
            return {"": sum(file.stat().st_size for file in weight_files(folder, field=role))}
        except ValueError:  # not downloaded yet
            return {"": 0}
    model = hollow_model(config, dtype=dtype, name=str(folder), field=role)
    # Parts of the model are made in a dtype that their config names, but loaded in the run's.
    small = set() if quantisation == "none" else linear_weights(model)
    return {
        name: weight.numel() * (1 if name in small else dtype.itemsize) for name, weight in model.named_parameters()
    }


def gib(size: float) -> str:
    """The size as it is said."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"
