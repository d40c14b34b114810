"""Checks of PyTorch's kernels: which are chosen, whether they take our masks, and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention

from vsd.commands.doctor.checks import Finding, Machine, milliseconds, require
from vsd.models.attention import Attention, attention_forward, sdpa_flags, splits_on, unmasked_chains
from vsd.models.mask import Mask, hidden
from vsd.models.tree import chain
from vsd.run.provenance import packages

HEADS, KEY_HEADS, SIZE = 28, 4, 128  # Qwen2.5-VL 7B
ROWS = (1, 6, 26)
WAYS: dict[str, Attention | None] = {"with masks": "fused", "with masks and split keys": "split", "without": None}


def versions(machine: Machine) -> Finding:
    """The libraries, the order in which kernels are tried, and that cuDNN's is off."""
    query = torch.zeros(1, 1, 8, 64, device=machine.device)
    scaled_dot_product_attention(query, query, query)
    flags, known = sdpa_flags(), {int(backend.value): backend.name for backend in _backends()}
    order = [known.get(number, str(number)) for number in torch._C._get_sdp_priority_order()]
    require(not flags["cudnn"], f"cuDNN attention must be off, got {flags}")
    installed = {name: version for name, version in packages().items() if name in ("vsd", "torch", "transformers")}
    name = torch.cuda.get_device_name(machine.device) if machine.cuda else str(machine.device)
    bare = unmasked_chains(torch.empty(0, device=machine.device, dtype=torch.bfloat16))
    said = f"{name}; {', '.join(f'{key} {value}' for key, value in installed.items())}; kernels {' > '.join(order)}"
    return Finding(
        said=f"{said}; cuDNN off; chains in bfloat16 {'without masks' if bare else 'with masks'}",
        data={"order": order, "flags": flags, "device": name, "unmasked_chains": bare},
    )


def growing_keys(machine: Machine) -> Finding:
    """64 one-row calls, each over one key more, with cuDNN's kernel off and on: it plans for each length."""
    machine.needs_cuda()
    keys = torch.randn(1, KEY_HEADS, 25_100, SIZE, device=machine.device, dtype=torch.bfloat16)
    query = torch.randn(1, KEY_HEADS, HEADS // KEY_HEADS, SIZE, device=machine.device, dtype=torch.bfloat16)

    def calls(first: int) -> float:
        machine.wait()
        start = perf_counter()
        for rows in range(first, first + 64):
            scaled_dot_product_attention(query, keys[:, :, :rows], keys[:, :, :rows])
        machine.wait()
        return (perf_counter() - start) / 64

    calls(24_000)
    off = calls(25_000)
    with cudnn(True):
        on = calls(25_000)
    require(off < 0.005, f"one row over 25,000 keys must take less than 5 ms, got {milliseconds([off])}")
    said = f"one row over 25,000 growing keys: {milliseconds([off])} with cuDNN off, {milliseconds([on])} with it on"
    return Finding(said=said, data={"off_s": off, "on_s": on})


def rows(machine: Machine) -> Finding:
    """Chains of 1, 6 and 26 rows against long keys, with masks over all keys at once and split, and without masks: each
    row sees its own key and none behind it; what runs, and how long."""
    count, dtype = (25_000, torch.bfloat16) if machine.cuda else (2_000, torch.float32)
    keys, values = (torch.randn(1, KEY_HEADS, count, SIZE, device=machine.device, dtype=dtype) for _ in range(2))
    data: dict[str, Any] = {"keys": count}
    times_s: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in ROWS:
        query = _climb(keys, number)
        mask = Mask(width=count, groups=HEADS // KEY_HEADS, like=query).of(chain(number), 0, count)

        def attend(way: str, query: Tensor = query, mask: Tensor = mask) -> Tensor:
            attention = WAYS[way]
            bias = None if attention is None else mask
            layer = torch.nn.Module()
            return attention_forward(layer, query, keys, values, bias, SIZE**-0.5, attention=attention or "auto")[0]

        own = values[:, :, count - number :].repeat_interleave(HEADS // KEY_HEADS, 1).transpose(1, 2)
        apart = {way: float((attend(way) - own).abs().max()) for way in WAYS}
        rule = f"{number} rows must see their own keys last, to 0.1, got {apart} between them and their values"
        require(max(apart.values()) < 0.1, rule)
        for way in WAYS:
            times_s[way].append(machine.seconds(partial(attend, way)))
        names = {way: _kernels(machine, partial(attend, way)) for way in WAYS}
        data[str(number)] = {"s": {way: times_s[way][-1] for way in WAYS}, "apart": apart, "kernels": names}
    said = ", ".join(f"{milliseconds(times_s[way])} {way}" for way in WAYS)
    return Finding(said=f"{', '.join(map(str, ROWS))} rows over {count:,} keys: {said}", data=data)


def split_keys(machine: Machine) -> Finding:
    """Rows over keys in pieces, of which they see only some, against all keys at once, where all scores are small: a
    hidden piece that counted at all would show."""
    data: dict[str, float] = {}
    for name in ("float32", "float16", "bfloat16"):
        dtype = getattr(torch, name)
        if not splits_on(machine.device, dtype):
            continue
        shapes = (1, HEADS, 6, SIZE), (1, KEY_HEADS, 3328, SIZE), (1, KEY_HEADS, 3328, SIZE)
        query, keys, values = (torch.randn(shape, device=machine.device).to(dtype) for shape in shapes)
        seen_MC = torch.arange(3328) < 1500 + torch.arange(6)[:, None]
        mask_MC = torch.where(seen_MC, -16.0, hidden(dtype)).to(query).repeat(HEADS // KEY_HEADS, 1)

        def attend(
            how: Attention, q: Tensor = query, k: Tensor = keys, v: Tensor = values, m: Tensor = mask_MC
        ) -> Tensor:
            return attention_forward(torch.nn.Module(), q, k, v, m[None, None], SIZE**-0.5, attention=how)[0].float()

        fused = attend("fused")
        data[name] = float((attend("split") - fused).abs().max() / fused.abs().max())
        bound = 1e-3 if name == "float32" else 0.03
        require(data[name] < bound, f"{name}: keys in pieces must give the same to {bound:g}, got {data[name]:.2g}")
    said = ", ".join(f"{off:.1g} in {name}" for name, off in data.items())
    return Finding(said=f"keys in pieces against all at once, some hidden: apart by {said}", data=data)


def _climb(keys: Tensor, number: int) -> Tensor:
    """Queries of `number` rows, all alike, and at the end of `keys` as many keys that draw them ever more strongly: the
    last key that a row sees takes nearly all of its attention, so that one key too many or too few shows."""
    direction = torch.randn(SIZE, device=keys.device)
    direction *= SIZE**0.5 / direction.norm()
    strength = 3 + torch.arange(number, device=keys.device) / 1.5
    keys[:, :, keys.shape[2] - number :] = (strength[:, None] * direction).to(keys)
    return direction.to(keys).expand(1, HEADS, number, SIZE)


def head(machine: Machine) -> Finding:
    """Logits of 6 rows in bfloat16, and in float32 by the same kernel: what fewer near-ties would cost."""
    machine.needs_cuda()
    hidden = torch.randn(6, 3584, device=machine.device, dtype=torch.bfloat16)
    weight = torch.randn(152_064, 3584, device=machine.device, dtype=torch.bfloat16)
    narrow_s = machine.seconds(lambda: hidden @ weight.T)
    wide_s = machine.seconds(lambda: torch.mm(hidden, weight.T, out_dtype=torch.float32))
    said = f"logits of 6 rows: {milliseconds([narrow_s])} in bfloat16, {milliseconds([wide_s])} in float32"
    return Finding(said=said, data={"bfloat16_s": narrow_s, "float32_s": wide_s})


@contextmanager
def cudnn(on: bool) -> Iterator[None]:
    """cuDNN's attention on or off inside, and as it was behind."""
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(on)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def _backends() -> list[Any]:
    return [backend for backend in vars(SDPBackend).values() if isinstance(backend, SDPBackend)]


def _kernels(machine: Machine, work: Callable[[], Any]) -> list[str]:
    """The names of the CUDA kernels that run."""
    if not machine.cuda:
        return []
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        work()
        machine.wait()
    return [event.key for event in profiled.key_averages()]
