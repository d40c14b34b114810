"""Keys in pieces give what all keys at once give."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tests.conftest import Pair
from tests.models.test_steps import TOKENS, TREE, Side, assert_same
from vsd.models import split_attention
from vsd.models.attention import Attention, attention_forward, splits_on
from vsd.models.checkpoint import check_attention
from vsd.models.mask import hidden
from vsd.models.split_attention import PIECE
from vsd.models.tree import ancestors, chain
from vsd.types import Video

HEADS, GROUPS, SIZE = 2, 3, 8
COUNT = 5
HOW: tuple[Attention, ...] = ("fused", "split")


def numbers(rows: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """A query of grouped heads, and keys and values in a longer buffer."""
    random = torch.Generator().manual_seed(rows)
    shapes = (1, HEADS * GROUPS, COUNT, SIZE), (1, HEADS, rows + 64, SIZE), (1, HEADS, rows + 64, SIZE)
    query, key, value = (torch.randn(shape, generator=random, dtype=torch.float64).to(dtype) for shape in shapes)
    return query, key[:, :, :rows], value[:, :, :rows]


def a_mask(rows: int, visible_MN: Tensor, length: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Of nodes behind `length` rows, in a buffer of which nothing else is seen, repeated for grouped heads."""
    seen_MC = torch.zeros(COUNT, rows, dtype=torch.bool)
    seen_MC[:, :length] = True
    seen_MC[:, length : length + visible_MN.shape[1]] = visible_MN
    mask_MC = torch.zeros(COUNT, rows, dtype=dtype).masked_fill(~seen_MC, hidden(dtype))
    return mask_MC.repeat(GROUPS, 1)[None, None]


def attend(how: Attention, rows: int, mask: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    query, key, value = numbers(rows, dtype)
    return attention_forward(torch.nn.Module(), query, key, value, mask, SIZE**-0.5, attention=how)[0]


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys each attention over pieces had."""
    seen: list[int] = []
    plain = split_attention.split_attention

    def watched(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
        seen.append(key.shape[2])
        return plain(query, key, value, mask, scaling)

    monkeypatch.setattr(split_attention, "split_attention", watched)
    return seen


@pytest.mark.parametrize("rows", [PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 77, 4 * PIECE + 8])
@pytest.mark.parametrize("tree", [chain(COUNT), (-1, 0, 0, 1, 1)], ids=["chain", "tree"])
@pytest.mark.parametrize("length", [1, 250, PIECE])
def test_what_all_keys_at_once_give(pieces: list[int], rows: int, tree: tuple[int, ...], length: int) -> None:
    mask = a_mask(rows, ancestors(tree), min(length, rows - COUNT))
    found = attend("split", rows, mask)
    query, key, value = numbers(rows)
    key, value = (each.repeat_interleave(GROUPS, 1) for each in (key, value))
    expected = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, :, :COUNT], scale=SIZE**-0.5)
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-13, atol=1e-13)
    assert pieces == [rows]


@pytest.mark.parametrize("length", [300, 900])
def test_half_precision_is_as_near(length: int) -> None:
    mask = a_mask(1024, ancestors(chain(COUNT)), length, torch.bfloat16)
    exact = attend("fused", 1024, mask.double())
    fused, split = ((attend(how, 1024, mask, torch.bfloat16).double() - exact).abs().max() for how in HOW)
    assert split < 2 * fused < 0.01


def as_on_cuda(plain: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    """What PyTorch's memory-efficient attention makes of a row all of whose weights are infinitely small in float32,
    after its factor of log2(e): a mean of 0, of one key's weight."""

    def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> tuple[Tensor, Tensor]:
        mixed, shares = plain(query, key, value, mask, scaling)
        scores = (query @ key.transpose(-1, -2)).float() * scaling + mask.float()
        blind = (scores * math.log2(math.e)).isneginf().all(-1)
        return mixed.masked_fill(blind[..., None], 0.0), shares.masked_fill(blind, 0.0)

    return attention


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("length", [10, PIECE, 2 * PIECE + 10])
def test_a_piece_of_which_nothing_is_seen_has_no_part(
    monkeypatch: pytest.MonkeyPatch, length: int, dtype: torch.dtype
) -> None:
    rows = 4 * PIECE + 8
    mask = a_mask(rows, ancestors(chain(COUNT)), length, dtype)
    mask = mask.masked_fill(mask == 0, -16.0)  # one key's weight is much beside those of scores that are all small
    expected = attend("fused", rows, mask, dtype)
    monkeypatch.setattr(split_attention, "_with_share", as_on_cuda(split_attention._with_share))
    found = attend("split", rows, mask, dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 if dtype == torch.float32 else 4e-3)
    infinite = mask.masked_fill(mask < -16, -torch.inf)  # what must not be given: the test would see it
    assert (attend("split", rows, infinite, dtype) - expected).abs().max() > 0.01


@pytest.mark.parametrize(
    ("how", "rows", "count", "expected"),
    [
        ("auto", 2000, COUNT, False),  # on a CPU
        ("fused", 2000, COUNT, False),
        ("split", 2000, COUNT, True),
        ("split", PIECE - 1, COUNT, False),
        ("split", 2000, 1000, False),  # a piece of a prompt fills a GPU by itself
    ],
)
def test_where_keys_are_split(pieces: list[int], how: Attention, rows: int, count: int, expected: bool) -> None:
    query, key, value = (torch.zeros(1, HEADS, number, SIZE) for number in (count, rows, rows))
    mask = torch.zeros(1, 1, count, rows)
    attention_forward(torch.nn.Module(), query, key, value, mask, 1.0, attention=how)
    assert bool(pieces) == expected


@pytest.mark.parametrize("tree", [chain(3), TREE], ids=["chain", "tree"])
def test_a_model_that_attends_so(pair: Pair, video: Video, pieces: list[int], tree: tuple[int, ...]) -> None:
    prompt = pair.target.encode(video, "Where is it? " * 100)
    assert prompt.length > PIECE
    capacity = prompt.length + 20
    plain = Side(pair.target.computed_by(attention="fused"), prompt, capacity)
    split = Side(pair.target.computed_by(attention="split"), prompt, capacity)
    fixed = Side(pair.target.computed_by(attention="split", compile="eager"), prompt, capacity)
    pieces.clear()
    for _ in range(2):
        outputs = [side.read(TOKENS[: len(tree)], tree) for side in (plain, split, fixed)]
        assert_same(outputs[0], outputs[1])
        assert_same(outputs[0], outputs[2])
        for side in (plain, split, fixed):
            side.state.commit([0, 1])
    assert len(pieces) == 2 * 2 * pair.target.depth
    assert min(pieces) >= PIECE


def test_float64_on_a_gpu_has_no_kernel_for_it() -> None:
    check_attention("split", device="cpu", dtype=torch.float64)
    check_attention("split", device="cuda:0", dtype=torch.float32)
    check_attention("split", device="gpu", dtype=torch.float64)  # which others refuse
    check_attention("split", device="cuda", dtype=torch.float64, spread=True)
    with pytest.raises(ValueError, match=r"^attention: must be another than split in float64 on cuda:0, got 'split'$"):
        check_attention("split", device="cuda:0", dtype=torch.float64)


def test_masks_of_other_kinds_are_left_to_the_library(pieces: list[int]) -> None:
    """transformers' own, for whoever calls the model itself."""
    query, key, value = (torch.randn(1, HEADS, number, SIZE) for number in (COUNT, 2000, 2000))
    mask = torch.ones(1, 1, COUNT, 2000, dtype=torch.bool)
    attention_forward(torch.nn.Module(), query, key, value, mask, 1.0, attention="split")
    assert not pieces


@pytest.mark.parametrize("device", ["meta", "mps", "xpu"])
def test_other_devices_have_no_kernel_for_it(device: str) -> None:
    assert not splits_on(torch.device(device), torch.float32)
    assert splits_on(torch.device("cpu"), torch.float32)
