"""Every mask starts and steps where each attention kernel can read it, and a chain without one sees the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right

from tests.conftest import Pair
from vsd.drafters import Chain, Drafter
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.models import State, attention, cache, load
from vsd.models.cache import Buffers, bucket
from vsd.models.tree import ancestors, chain
from vsd.pruners.specvlm import SpecVLM
from vsd.types import Dtype, Trace, Video

DTYPES = ("bfloat16", "float16", "float32", "float64")
TREE = (-1, 0, 0, 0, 1, 2, 5)
STEPS = ((chain(2), 1), (chain(6), 3), (TREE, 1), (TREE, 0), (chain(3), 2), (chain(1), 1), (TREE[:4], 2))


def assert_readable(mask: Tensor) -> None:
    """What memory-efficient attention asks of a mask that it does not copy: rows, heads and batches multiples of 8
    elements apart, columns side by side, the first at a multiple of 16 bytes (here: of 8 elements)."""
    assert [stride % 8 for stride in mask.stride()[:-1]] == [0, 0, 0]
    assert mask.stride(-1) == 1
    assert mask.storage_offset() % 8 == 0
    assert mask.data_ptr() % 16 == 0


def a_state(prompt: int, capacity: int, dtype: torch.dtype, groups: int = 3) -> State:
    like = torch.zeros(1, dtype=dtype)
    buffers = Buffers(bucket(capacity), 1)
    return State(
        prompt=prompt, next_position=prompt, capacity=capacity, buffers=buffers, axes=1, groups=groups, like=like
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_of_64_prompt_lengths_and_all_capacities(dtype: str) -> None:
    kind, groups = getattr(torch, dtype), 3
    for prompt in range(100, 164):
        for spare in range(24, 32):  # capacities with every remainder by 8
            state = a_state(prompt, prompt + spare, kind, groups)
            cut = prompt - 1 - prompt % 9
            assert state.extend(cut) is None
            piece = state.extend(prompt - cut)
            if prompt - cut > 1:
                assert piece is not None
                assert_readable(piece)
                assert piece.shape == (1, 1, groups * (prompt - cut), prompt)
            for tree, keep in STEPS:
                mask = state.mask(state.attach(tree))
                if mask is not None:
                    assert_readable(mask)
                    assert_shows(mask, tree, state.length, groups)
                state.commit(range(min(keep, 2)))


def assert_shows(mask: Tensor, tree: tuple[int, ...], length: int, groups: int) -> None:
    """The whole cache, and of the tree each node's ancestors."""
    count = len(tree)
    assert mask.shape == (1, 1, groups * count, length + count)
    assert not mask[..., :length].any()
    assert torch.equal(mask[0, 0, :, length:] == 0, ancestors(tree).repeat(groups, 1))


def test_a_tree_that_grows_has_masks_of_its_last_nodes() -> None:
    state = a_state(20, 60, torch.float32, groups=1)
    state.extend(20)
    for start, end in ((0, 1), (1, 4), (4, 6), (6, 7)):
        mask = state.mask(state.attach(TREE[start:end]))
        if mask is not None:
            assert_readable(mask)
            assert torch.equal(mask[0, 0, :, 20:] == 0, ancestors(TREE[:end])[start:])


@pytest.mark.parametrize("drafter", [Chain(), Tree()], ids=["chain", "tree"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_that_attention_is_given(
    dtype: Dtype, drafter: Drafter, pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = 0
    plain: Any = torch.nn.functional.scaled_dot_product_attention

    def watched(*args: Any, attn_mask: Tensor | None = None, **options: Any) -> Tensor:
        nonlocal seen
        if attn_mask is not None:
            seen += 1
            assert_readable(attn_mask)
        attended: Tensor = plain(*args, attn_mask=attn_mask, **options)
        return attended

    monkeypatch.setattr(attention, "scaled_dot_product_attention", watched)
    target = load(str(pair.target_path), dtype=dtype)
    draft = load(str(pair.draft_path), dtype=dtype)
    for length in range(8):
        engine = Engine(target=target, draft=draft, drafter=drafter, pruner=SpecVLM(ratio=0.5), max_new_tokens=5)
        engine.run(video, "?" * (1 + length))
    assert seen > 40


def decoded(pair: Pair, video: Video, drafter: Drafter) -> Trace:
    engine = Engine(
        target=pair.target, draft=pair.draft, drafter=drafter, pruner=SpecVLM(ratio=0.5), max_new_tokens=24
    )  # fmt: skip
    return engine.run(video, "Where is it? " * 12)  # a suffix of several pieces


@pytest.mark.parametrize("drafter", [Chain(), Tree()], ids=["chain", "tree"])
def test_chains_without_masks_give_the_same_tokens(
    drafter: Drafter, pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_masks = decoded(pair, video, drafter)
    biases = 0
    plain = causal_lower_right

    def counted(*size: int) -> Any:
        nonlocal biases
        biases += 1
        return plain(*size)

    monkeypatch.setattr(attention, "causal_lower_right", counted)
    monkeypatch.setattr(cache, "unmasked_chains", lambda like: True)
    without = decoded(pair, video, drafter)
    assert (without.tokens, without.kept) == (with_masks.tokens, with_masks.kept)
    assert [each.accepted for each in without.rounds] == [each.accepted for each in with_masks.rounds]
    assert biases


def test_a_cpu_and_float32_have_masks() -> None:
    assert not attention.unmasked_chains(torch.zeros(1, dtype=torch.bfloat16))
    assert not attention.unmasked_chains(torch.zeros(1))


@pytest.mark.parametrize(("capability", "bare"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_since_ampere_need_none_in_half_precision(
    capability: tuple[int, int], bare: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    attention._has_flash.cache_clear()
    for dtype, expected in ((torch.bfloat16, bare), (torch.float16, bare), (torch.float32, False)):
        like: Any = SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device("cuda:0"))
        assert attention.unmasked_chains(like) == expected
    attention._has_flash.cache_clear()


def test_caches_come_in_few_sizes() -> None:
    assert [bucket(rows) for rows in (1, 256, 257, 4096, 4097, 8192, 25_000, 100_000)] == [
        256, 256, 512, 4096, 4352, 8192, 25_600, 102_400,
    ]  # fmt: skip
    assert all(rows <= bucket(rows) <= max(rows + 255, rows * 17 / 16) for rows in range(1, 70_000, 7))
    assert len({bucket(rows) for rows in range(20_000, 30_000)}) <= 11


def test_cudnn_attention_is_off() -> None:
    assert attention.sdpa_flags()["cudnn"] is False
