"""A model spread over several devices gives the same tokens, and a map that cannot work is refused."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import accelerate
import pytest
import torch

from tests.collected import collected
from tests.conftest import Pair
from tests.two_devices import devices
from vsd.drafters import Chain
from vsd.drafters.tree import Tree
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.models import VideoLM, load, placement
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.types import Context, Draft, Hidden, Video
from vsd.utils.random_source import RandomSource
from vsd.verifiers.lvspec import LVSpec

NUMBERS = {"specvlm": set(), "lvspec": {"relevance"}, "viskip": {"visual_mass"}, "states": set()}
"""What is recorded of each token."""


class Looking(ViSkip):
    """Drafts if the target's states say so: those of the prompt and of all passes together."""

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"hidden:1"})

    def propose(self, context: Context, model: Any, state: Any, gamma: int, random: RandomSource) -> Draft:
        states_nD = context.evidence["hidden:1"]
        assert len(states_nD) == len(context.tokens)
        return self.inner.propose(context, model, state, gamma if states_nD.sum() > 0 else 1, random)


def modules(model: VideoLM) -> dict[str, str]:
    """A map that puts neighbours on different devices."""
    above = {f"model.{name}": "cpu:1" for name, _ in model.model.model.named_children() if name != "language_model"}
    text = {
        **{"embed_tokens": "cpu:2", "rotary_emb": "cpu:1", "norm": "cpu:1"},
        **{f"layers.{number}": f"cpu:{number % 3 + 1}" for number in range(model.depth)},
    }
    if hasattr(model.model.model, "image_newline"):
        above["model.image_newline"] = "cpu:3"
    return {**above, "lm_head": "cpu:3", **{f"model.language_model.{name}": place for name, place in text.items()}}


def spread(model: VideoLM) -> VideoLM:
    """The model on three devices, moved by accelerate's own hooks. To be called inside `devices`."""
    if hasattr(model.model.model, "image_newline"):  # a weight of no module: transformers places it when it is loaded
        newline = model.model.model.image_newline.to("cpu:3")
        model.model.model.image_newline = torch.nn.Parameter(newline, requires_grad=False)
    skip = model.model._skip_keys_device_placement
    accelerate.dispatch_model(model.model, modules(model), main_device="cpu:1", skip_keys=skip)
    spread_out = type(model)(model.model, model.processor, name=model.name)
    spread_out.eos = frozenset()
    return spread_out


@pytest.fixture
def on_three(pair: Pair) -> Iterator[tuple[VideoLM, VideoLM]]:
    """Target and draft on three devices."""
    with devices():
        yield (
            spread(load(str(pair.target_path), dtype="float64")),
            spread(load(str(pair.draft_path), dtype="float64")),
        )


def test_devices_that_are_not_there_refuse_to_mix() -> None:
    with devices():
        one, other, plain = torch.ones(3, device="cpu:1"), torch.ones(3, device="cpu:2"), torch.ones(3)
        assert (one + 1).device == (one + one).device == torch.device("cpu:1")
        assert other[torch.tensor([0])].device == other[[0, 1]].device == (one + other.to("cpu:1")).to("cpu:2").device
        for wrong in (lambda: one + other, lambda: one @ plain, lambda: other[one.long()], lambda: one.add_(other)):
            with pytest.raises(RuntimeError, match="cpu"):
                wrong()


@pytest.mark.parametrize("method", NUMBERS)
def test_token_identical_on_three_devices(
    method: str, pair: Pair, on_three: tuple[VideoLM, VideoLM], video: Video
) -> None:
    options: dict[str, Any] = {"pruner": SpecVLM(ratio=0.5), "drafter": Tree(), "max_new_tokens": 6}
    if method == "lvspec":
        options |= {"pruner": UVPrune(ratio=0.5), "drafter": Chain(), "verifier": LVSpec(looseness=0.5)}

    if method == "viskip":
        options |= {"drafter": ViSkip(inner=Tree(), threshold=0.3)}

    if method == "states":
        options |= {"drafter": Looking(inner=Chain())}

    def run(target: VideoLM, draft: VideoLM) -> Any:
        draft = draft.trim(range(0, draft.vocab, 2)) if method == "lvspec" else draft
        return Engine(target=target, draft=draft, **options).run(video, "What is seen?")

    here, spread_out = run(pair.target, pair.draft), run(*on_three)
    assert len(on_three[0].devices) == 3
    assert (here.tokens, here.kept) == (spread_out.tokens, spread_out.kept)
    assert [each.accepted for each in here.rounds] == [each.accepted for each in spread_out.rounds]
    for ours, theirs in zip(here.rounds, spread_out.rounds, strict=True):
        assert set(ours.evidence) == set(theirs.evidence) == NUMBERS[method]
        for name in ours.evidence:
            assert len(ours.evidence[name]) == ours.committed
            assert ours.evidence[name] == pytest.approx(theirs.evidence[name])


def test_scattered_placeholders_and_a_twin(pair: Pair, on_three: tuple[VideoLM, VideoLM], video: Video) -> None:
    kept = torch.tensor([0, 2, 3, 7])
    wanted = {"attention", "attention:2", "video_attention", "features", "keys:2", "hidden:1", "hidden:1.0"}
    found = []
    for model in (pair.target, on_three[0], on_three[0].twin()):
        state, logits_W, evidence = collected(model, model.encode(video, "Why?").keep(kept), wanted)
        parents = [-1, 0, 0, 1]
        after_MW = model.forward(torch.tensor([5, 6, 7, 8]), parents, state).logits_MW
        state.commit([0, 2])
        values = [evidence.values[name] for name in sorted(wanted)]  # of a part of the grid
        shown = [each.visual_VD if isinstance(each, Hidden) else each for each in values]
        assert {each.device for each in shown} == {model.device}
        assert {len(each) for each in shown} == {len(kept)}
        again_MW = model.forward(torch.tensor([9]), [-1], state).logits_MW
        found.append([each.tolist() for each in (logits_W, after_MW, again_MW, *shown)])
    for others in found[1:]:
        for ours, theirs in zip(found[0], others, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-9, atol=1e-9)


def test_a_map_of_modules_and_an_automatic_one_load(pair: Pair, video: Video) -> None:
    everywhere = dict.fromkeys(modules(pair.target), "cpu")
    expected = Engine(target=pair.target, draft=pair.draft, max_new_tokens=6).run(video, "What?").tokens
    for device_map in (everywhere, "auto"):
        target = load(str(pair.target_path), dtype="float64", device="abacus", device_map=device_map)
        accelerate.dispatch_model(target.model, everywhere, force_hooks=True)  # on one device it would need no hooks
        target.eos = frozenset()
        assert Engine(target=target, draft=target.twin(), max_new_tokens=6).run(video, "What?").tokens == expected


@pytest.mark.parametrize(
    ("device_map", "message"),
    [
        ("cuda:0", r"must be null, one of auto, .* or a mapping of modules to devices, got 'cuda:0'"),
        (3, r"must be null, .* got 3"),
        ({}, r"must place the whole model, got no device for 'model\..*' \(\d+ weights\)"),
        ({"lm_head": "cpu"}, r"must place the whole model, got no device for 'model\."),
        ({"": "cpu", "head": "cpu"}, r"its modules must be the model's, got 'head'"),
        ({"": "disk"}, r"\[''\]: the device must be available on this machine, got 'disk'"),
        ({"": "cuda:99"}, r"\[''\]: the device must be available on this machine, got 'cuda:99'"),
        ({"": 99}, r"\[''\]: the device must be available on this machine, got 99"),
    ],
)
def test_refused(device_map: Any, message: str, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(pair.target.model), "from_pretrained", None)  # no weights are loaded
    with pytest.raises(ValueError, match=rf"draft\.device_map.*{message}"):
        load(str(pair.target_path), device_map=device_map, field="draft")


def test_a_part_left_on_the_cpu_is_refused() -> None:
    placement.check_placed(SimpleNamespace(hf_device_map={"a": 0, "b": 1}), field="target.device_map")
    with pytest.raises(ValueError, match=r"target\.device_map: all modules must be on GPUs.* got 'b' elsewhere"):
        placement.check_placed(SimpleNamespace(hf_device_map={"a": 0, "b": "cpu"}), field="target.device_map")
