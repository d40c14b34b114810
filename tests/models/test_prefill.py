"""Two passes agree with one, and the evidence with what eager attention would have shown."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from tests.collected import collected, collector_of
from tests.conftest import Pair
from vsd.models import VideoLM
from vsd.types import Evidence, Hidden, Prompt, Video

EVERYTHING = frozenset({"features", "attention", "video_attention", "hidden:0", "hidden:0.5", "hidden:3"})


@pytest.fixture(scope="module")
def prompt(pair: Pair, video: Video) -> Prompt:
    return pair.target.encode(video, "Where is it?")


@pytest.fixture(scope="module")
def evidence(pair: Pair, prompt: Prompt) -> Evidence:
    return collected(pair.target, prompt, EVERYTHING)[2]


def eager(pair: Pair, prompt: Prompt) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Eager attention weights, (layers, heads, T, T), and all hidden states of the stock text model."""
    text = pair.target.twin().text  # what records layers' outputs leaves hooks on them in some versions
    text.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            out = text(
                inputs_embeds=prompt.embeds_TD[None],
                position_ids=prompt.positions_PT[:, None] if len(prompt.positions_PT) > 1 else prompt.positions_PT,
                output_attentions=True,
                output_hidden_states=True,
            )
    finally:
        text.set_attn_implementation("vsd")
    return torch.cat(out.attentions), out.hidden_states


def test_two_passes_agree_with_one(pair: Pair, prompt: Prompt) -> None:
    plain_state, plain_W = pair.target.prefill(prompt)
    state, logits_W, _ = collected(pair.target, prompt, {"attention"})
    torch.testing.assert_close(logits_W, plain_W, rtol=1e-6, atol=1e-6)
    assert state.length == plain_state.length == prompt.length
    for layer in range(pair.target.depth):
        for mine, theirs in zip(state.rows(layer), plain_state.rows(layer), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 5, 16, 10_000])
def test_a_prompt_is_read_in_chunks(pair: Pair, prompt: Prompt, evidence: Evidence, chunk: int) -> None:
    """The cache, the logits and all evidence are those of a prompt that is read at once."""
    target = copy.copy(pair.target)
    target.prefill_chunk = chunk
    plain, plain_W, _ = collected(pair.target, prompt, EVERYTHING)
    state, logits_W, chunked = collected(target, prompt, EVERYTHING)
    torch.testing.assert_close(logits_W, plain_W, rtol=1e-6, atol=1e-6)
    for layer in range(target.depth):
        for mine, theirs in zip(state.rows(layer), plain.rows(layer), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    for name in EVERYTHING:
        close(chunked[name], evidence[name])
    early = target.start_prefill(prompt, collector=collector_of(target, prompt, {"hidden:1"}))
    assert early.until(1)
    torch.testing.assert_close(early.finish(), plain_W, rtol=1e-6, atol=1e-6)


def test_a_chunk_bounds_what_is_read_at_once(pair: Pair, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    target, read = copy.copy(pair.target), list[int]()
    plain, target.prefill_chunk = VideoLM.run, 5

    def noted(self: VideoLM, states_MD: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        read.append(len(states_MD))
        return plain(self, states_MD, *args, **options)

    monkeypatch.setattr(VideoLM, "run", noted)
    target.prefill(prompt)
    assert sum(read) == prompt.length
    assert max(read) == 5


def test_a_long_suffix_goes_in_pieces(pair: Pair, video: Video) -> None:
    prompt = pair.target.encode(video, "Where is it? " * 20)
    assert prompt.length - prompt.suffix > 200
    _, plain_W = pair.target.prefill(prompt)
    _, logits_W, evidence = collected(pair.target, prompt, {"attention", "hidden:1"})
    torch.testing.assert_close(logits_W, plain_W, rtol=1e-6, atol=1e-6)
    weights, _ = eager(pair, prompt)
    expected_V = weights[:, :, prompt.suffix :, prompt.visual_V].mean((0, 1, 2))
    torch.testing.assert_close(evidence["attention"], expected_V, rtol=1e-5, atol=1e-7)
    assert evidence["hidden:1"].text_SD.shape[0] == prompt.length - prompt.suffix


def test_attention_is_the_mean_of_the_eager_rows(pair: Pair, prompt: Prompt, evidence: Evidence) -> None:
    weights, _ = eager(pair, prompt)
    rows = weights[:, :, prompt.suffix :, prompt.visual_V]
    torch.testing.assert_close(evidence["attention"], rows.mean((0, 1, 2)), rtol=1e-5, atol=1e-7)


def test_video_attention_sums_to_one_over_the_video(pair: Pair, prompt: Prompt, evidence: Evidence) -> None:
    weights, _ = eager(pair, prompt)
    rows = weights[:, :, prompt.suffix :, prompt.visual_V]
    expected_V = (rows / rows.sum(-1, keepdim=True)).mean((0, 1, 2))
    torch.testing.assert_close(evidence["video_attention"], expected_V, rtol=1e-4, atol=1e-6)


def test_hidden_states_are_those_of_the_layers(pair: Pair, prompt: Prompt, evidence: Evidence) -> None:
    _, states = eager(pair, prompt)
    for name, layer in {"0": 0, "0.5": 2, "3": 3}.items():
        hidden = evidence[f"hidden:{name}"]
        torch.testing.assert_close(hidden.visual_VD, states[layer][0, prompt.visual_V], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(hidden.text_SD, states[layer][0, prompt.suffix :], rtol=1e-5, atol=1e-5)


def test_features_are_the_projector_outputs(prompt: Prompt, evidence: Evidence) -> None:
    assert torch.equal(evidence["features"], prompt.features_VD)


def test_what_is_not_wanted_is_not_there(pair: Pair, prompt: Prompt) -> None:
    assert collected(pair.target, prompt, ())[2] == Evidence(grid=prompt.grid)
    evidence = collected(pair.target, prompt, {"features"})[2]
    assert set(evidence.values) == {"features"}
    with pytest.raises(ValueError, match=r"^evidence: must be what .* \(features\), got 'attention'$"):
        evidence["attention"]


def test_what_is_early_is_early_though_the_prompt_is_read_in_pieces(pair: Pair, video: Video) -> None:
    prompt = pair.target.encode(video, "Where is it? " * 20)
    needs = {"features", "attention", "attention:1", "hidden:2", "hidden:1.0"}
    expected = collected(pair.target, prompt, needs)[2]
    plain_state, plain_W = pair.target.prefill(prompt)
    collector = collector_of(pair.target, prompt, needs)
    prefill = pair.target.start_prefill(prompt, collector=collector)
    assert not prefill.until(collector.stage({"attention"}))
    for need, layer in (("features", 0), ("attention:1", 1), ("hidden:2", 2)):
        assert collector.stage({need}) == layer
        assert prefill.until(layer)
        early = collector.evidence({need})[need]
        same(early, expected[need])
    torch.testing.assert_close(prefill.finish(), plain_W, rtol=1e-6, atol=1e-6)
    for need in needs:
        same(collector.evidence()[need], expected[need])
    for layer in range(pair.target.depth):
        for mine, theirs in zip(prefill.state.rows(layer), plain_state.rows(layer), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    after = [
        pair.target.forward(torch.tensor([7, 9]), (-1, 0), state).logits_MW for state in (prefill.state, plain_state)
    ]
    torch.testing.assert_close(*after, rtol=1e-6, atol=1e-6)


def close(ours: torch.Tensor | Hidden, theirs: torch.Tensor | Hidden) -> None:
    same(ours, theirs, tolerance=1e-6)


def same(ours: torch.Tensor | Hidden, theirs: torch.Tensor | Hidden, *, tolerance: float = 1e-11) -> None:
    """Whatever the kind of evidence, and however many layers were read at a time: but for float64's last bits."""
    pairs = [(ours, theirs)]
    if isinstance(ours, Hidden) and isinstance(theirs, Hidden):
        pairs = [(ours.visual_VD, theirs.visual_VD), (ours.text_SD, theirs.text_SD)]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance / 100)


@pytest.mark.parametrize(
    "need",
    [
        *(
            "attentions",
            "hidden:x",
            "hidden:99",
            "hidden:1.5",
            "hidden",
            "attention:0",
            "attention:5",
            "keys:0",
            "keys",
        ),
        *("features:1", "vision_attention:1", "visual_mass:2", "relevance:1.0", "relevance:9:10", "relevance:1.0:0"),
    ],
)
def test_unknown_evidence_is_refused(pair: Pair, prompt: Prompt, need: str) -> None:
    with pytest.raises(ValueError, match="needs: "):
        collected(pair.target, prompt, {need})


def test_a_cache_smaller_than_the_prompt_is_refused(pair: Pair, prompt: Prompt) -> None:
    with pytest.raises(ValueError, match="capacity: the prompt alone takes"):
        pair.target.prefill(prompt, capacity=3)
