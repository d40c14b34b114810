"""A GPU that is not there: tensors without data that say they lie on one, and refuse to mix with those of the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes
from transformers import AutoConfig, AutoProcessor

from tests.collected import collected, collector_of
from tests.conftest import Pair
from vsd.evidence import Attended, Reading
from vsd.evidence.attention import SuffixAttention, VideoAttention
from vsd.evidence.hidden import HiddenStates
from vsd.models import VideoLM, attention, cache
from vsd.models.families import FAMILIES
from vsd.models.tree import chain
from vsd.types import Grid, Prompt

GPU = torch.device("cuda")
PROMPT, VISUAL, SUFFIX = 300, 40, 200
TREE = (-1, 0, 0, 1, 1, 3)


@pytest.fixture(params=["masks", "no masks"])
def on_gpu(request: pytest.FixtureRequest, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoLM]:
    """The target in bfloat16, on a GPU as before Ampere and on a newer one."""
    monkeypatch.setattr(cache, "unmasked_chains", lambda like: like.is_cuda and request.param == "no masks")
    monkeypatch.setattr(HiddenStates, "prompt_states", lambda *_: None)  # which rows it takes depends on data
    monkeypatch.setattr(attention, "causal_lower_right", lower_right)
    config = AutoConfig.from_pretrained(pair.target_path)
    processor = AutoProcessor.from_pretrained(pair.target_path)
    adapter, kind = FAMILIES[config.model_type]
    model = kind(config)
    with FakeTensorMode():
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False):
                made = torch.empty(weight.shape, dtype=torch.bfloat16, device=GPU)
                setattr(module, name, torch.nn.Parameter(made, requires_grad=False))
            for name, weight in module.named_buffers(recurse=False):
                setattr(module, name, torch.empty(weight.shape, dtype=weight.dtype, device=GPU))
        yield adapter(model, processor, name="fake")


def lower_right(count: int, rows: int) -> Tensor:
    """What PyTorch's bias means: it is no tensor that can be without data."""
    return torch.ones(count, rows, dtype=torch.bool, device=GPU).tril(rows - count)


def a_prompt(model: VideoLM, device: torch.device = GPU) -> Prompt:
    axes = 3 if model.model_type == "qwen2_5_vl" else 1
    return Prompt(
        ids_T=torch.zeros(PROMPT, dtype=torch.long, device=device),
        embeds_TD=torch.empty(PROMPT, model.text.config.hidden_size, dtype=torch.bfloat16, device=device),
        positions_PT=torch.zeros(axes, PROMPT, dtype=torch.long, device=device),
        visual_V=torch.arange(20, 20 + VISUAL, device=device),
        grid=Grid(1, 5, 8),
        suffix=SUFFIX,
        next_position=PROMPT,
    )


def assert_on_gpu(*tensors: Tensor) -> None:
    for tensor in tensors:
        assert tensor.device.type == "cuda"
        assert tensor.dtype == torch.bfloat16


def test_prefill_step_chain_tree_and_commit(on_gpu: VideoLM) -> None:
    assert on_gpu.device.type == "cuda"
    assert on_gpu.device_names == {"cuda:0"}
    state, logits_W, _ = collected(on_gpu, a_prompt(on_gpu), {"features"})
    assert_on_gpu(logits_W, *state.rows(0))
    assert state.rows(0)[0].shape[2] == PROMPT

    def step(parents: tuple[int, ...], kept: tuple[int, ...], *needs: str) -> None:
        ids_M = torch.zeros(len(parents), dtype=torch.long, device=GPU)
        watching = collector_of(on_gpu, a_prompt(on_gpu), needs, in_passes=needs)
        output = on_gpu.forward(ids_M, parents, state, collector=watching)
        state.commit(kept)
        assert_on_gpu(output.logits_MW, *output.evidence.values())
        assert [len(rows) for rows in output.evidence.values()] == [len(parents)] * len(needs)

    step((-1,), (0,))
    step(chain(6), (0, 1, 2))
    step(TREE, (0, 1, 3))  # rows are moved
    step(TREE, (0, 2), "hidden:1")
    step(chain(2), (0,), "hidden:1.0", "hidden:1")
    state.rollback(PROMPT + 1)
    step((-1,), (0,))
    assert state.generated == 2
    assert on_gpu.trim([3, 4, 9]).forward(torch.zeros(1, dtype=torch.long, device=GPU), (-1,), state)


def test_a_prompt_in_pieces(on_gpu: VideoLM) -> None:
    state = on_gpu._state(a_prompt(on_gpu), None)
    prompt = a_prompt(on_gpu)
    for start, end in ((0, SUFFIX), (SUFFIX, SUFFIX + 64), (SUFFIX + 64, PROMPT)):
        mask = state.extend(end - start)
        assert mask is None or mask.device.type == "cuda"
        hidden_MD = on_gpu.run(prompt.embeds_TD[start:end], prompt.positions_PT[:, None, start:end], mask, state.cache)
        assert_on_gpu(hidden_MD)


def test_attention_of_the_suffix(on_gpu: VideoLM) -> None:
    query = torch.empty(1, 4, 9, 8, dtype=torch.bfloat16, device=GPU)
    key = torch.empty(1, 2, PROMPT, 8, dtype=torch.bfloat16, device=GPU)
    for kind in (SuffixAttention, VideoAttention):
        with _disable_current_modes():  # numbers are asked of it
            probe = kind("", Reading(prompt=a_prompt(on_gpu, torch.device("cpu")), depth=2))
        probe.reading = Reading(prompt=a_prompt(on_gpu), depth=2)
        probe.prompt_attention(1, Attended(query, key, None, 0.3))
        attention_V = probe.value()
        assert (attention_V.device.type, attention_V.shape) == ("cuda", (VISUAL,))
        assert attention_V.dtype == torch.float32


def test_devices_that_mix_are_refused(on_gpu: VideoLM) -> None:
    state, _ = on_gpu.prefill(a_prompt(on_gpu))
    with pytest.raises(RuntimeError, match="devices"):
        on_gpu.forward(torch.zeros(1, dtype=torch.long), (-1,), state)
