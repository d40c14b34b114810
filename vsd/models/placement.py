"""Where a model's weights lie: on one device, or spread over several by a device map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

from vsd.models import hardware
from vsd.utils import distributed

Automatic = Literal["auto", "balanced", "balanced_low_0", "sequential"]
"""The maps that accelerate makes by itself."""
DeviceMap = Automatic | Mapping[str, str | int] | None


def check_device(device: str | int, *, field: str = "device") -> torch.device:
    """The device of that name. Raises ValueError if there is none here."""
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError):
        parsed = None
    if parsed is None or not hardware.is_there(parsed):
        raise ValueError(f"{field}: the device must be available on this machine, got {device!r}")
    return parsed


def check_device_map(device_map: DeviceMap, *, field: str = "device_map") -> None:
    """Raise ValueError for a map of another form and for a device that is not here."""
    if device_map is None:
        return
    if not isinstance(device_map, Mapping) and device_map not in get_args(Automatic):
        rule = f"null, one of {', '.join(get_args(Automatic))}, or a mapping of modules to devices"
        raise ValueError(f"{field}: must be {rule}, got {device_map!r}")
    if isinstance(device_map, Mapping):
        for module, device in device_map.items():
            check_device(device, field=f"{field}[{module!r}]")
        _check_no_offload(device_map, field)


def check_tp_plan(tp_plan: str | None, config: Any, *, device: str, device_map: DeviceMap, field: str) -> None:
    """Raise ValueError for a tensor-parallel plan that this checkpoint, these devices or these processes do not allow.

    `config` is the checkpoint's, `field` the model's name.
    """
    if tp_plan is None:
        return
    if tp_plan != "auto":
        raise ValueError(f"{field}.tp_plan: must be null or auto, got {tp_plan!r}")
    if device_map is not None:
        raise ValueError(f"{field}.device_map: must be null beside a tp_plan, got {device_map!r}")
    count = hardware.processes()
    if count < 2:
        raise ValueError(f"{field}.tp_plan: needs at least two processes (torchrun), got {tp_plan!r} in one")
    kind = "cuda" if hardware.gpu_count() else "cpu"
    if device != kind:
        raise ValueError(f"{field}.device: must be {kind!r} under a tp_plan, each process has its own, got {device!r}")
    if not config.text_config.base_model_tp_plan:
        raise ValueError(f"{field}.tp_plan: transformers must have a plan for the model, got {config.model_type!r}")
    for name in ("num_key_value_heads", "num_attention_heads", "intermediate_size"):
        size = getattr(config.text_config, name)
        if size % count:
            raise ValueError(f"{field}.tp_plan: the number of processes must divide {name}, {size}, got {count}")


def check_modules(device_map: Mapping[str, str | int], model: torch.nn.Module, *, field: str) -> None:
    """Raise ValueError unless the mapping places all weights of the model, and nothing else."""
    weights = list(model.state_dict())
    idle = sorted(set(device_map) - set(weights) - {name for name, _ in model.named_modules()})
    left = [name for name in weights if not any(_inside(name, module) for module in device_map)]
    if idle:
        raise ValueError(f"{field}: its modules must be the model's, got {idle[0]!r}")
    if left:
        raise ValueError(f"{field}: must place the whole model, got no device for {left[0]!r} ({len(left)} weights)")


def check_placed(model: Any, *, field: str) -> None:
    """Raise ValueError if a part of the loaded model found no room on the GPUs."""
    _check_no_offload(getattr(model, "hf_device_map", None) or {}, field)


def devices_of(model: torch.nn.Module, first: torch.device) -> tuple[torch.device, ...]:
    """All devices that hold weights of the model, `first` before the others."""
    return tuple(dict.fromkeys((first, *(weight.device for weight in model.parameters()))))


def draft_device(target: str, draft: str, *, gpus: int, at_once: bool, chosen: bool) -> str:
    """The device of the draft: the second GPU if the two work at the same time and nobody has said where.

    `target` and `draft` are the names of their devices, a number in one is somebody's choice; `gpus` is how many there
    are, `at_once` says whether the schedule has both work at once, `chosen` whether the user has placed the draft.
    """
    free = target == draft == "cuda" and not chosen
    return "cuda:1" if free and at_once and gpus > 1 else draft


def full_name(device: str | int) -> str:
    """How torch writes the device that a config names: 1 is "cuda:1", "cuda" is this process's GPU, mostly "cuda:0"."""
    name = f"cuda:{device}" if isinstance(device, int) else device
    if name != "cuda":
        return name
    return f"cuda:{torch.cuda.current_device() if torch.cuda.is_initialized() else distributed.local()}"


def _check_no_offload(device_map: Mapping[str, Any], field: str) -> None:
    """What lies on the CPU or a disk beside GPUs would be copied to one of them in every pass: no speed to measure."""
    slow = [name for name, device in device_map.items() if str(device) in ("cpu", "disk")]
    if slow and len(slow) < len(device_map):
        raise ValueError(f"{field}: all modules must be on GPUs, or all on the CPU, got {slow[0]!r} elsewhere")


def _inside(name: str, module: str) -> bool:
    return module in ("", name) or name.startswith(f"{module}.")
