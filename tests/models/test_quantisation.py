"""A target or a draft in 8-bit integers: what is held so, that it decodes as any other, and what is refused."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import pytest
import torch

from tests.conftest import FAMILIES, Pair
from vsd.engine import Engine
from vsd.models import VideoLM, load
from vsd.models import quantisation as module
from vsd.models.quantisation import Quantisation
from vsd.models.steps import Compile
from vsd.pruners.uniform import Uniform
from vsd.types import Video

needs_torchao = pytest.mark.skipif(util.find_spec("torchao") is None, reason="torchao is an extra")


@pytest.fixture(scope="module")
def rounded(pair: Pair) -> VideoLM:
    return held(pair.target_path, "int8")


def held(path: Path, quantisation: Quantisation) -> VideoLM:
    model = load(str(path), quantisation=quantisation)
    model.eos = frozenset()
    return model


@needs_torchao
def test_the_linear_layers_of_the_text_model_are_held_so(pair: Pair, rounded: VideoLM) -> None:
    plain = held(pair.target_path, "none")
    eight = {name for name, weight in rounded.model.named_parameters() if type(weight) is not torch.nn.Parameter}
    linear = {f"{name}.weight" for name, layer in plain.text.named_modules() if isinstance(layer, torch.nn.Linear)}
    assert {name.removeprefix("model.language_model.") for name in eight} == linear != set()
    for name, weight in rounded.model.named_parameters():
        off = (weight.dequantize() if name in eight else weight) - plain.model.get_parameter(name)
        step = plain.model.get_parameter(name).abs().amax(-1, keepdim=True) / 127
        assert (off.abs() <= 0.51 * step).all() if name in eight else not off.any()


@needs_torchao
@pytest.mark.parametrize("compile", ["none", "eager"])
def test_it_decodes_as_itself(pair: Pair, rounded: VideoLM, video: Video, compile: Compile) -> None:
    """A lossless run is held against this very target, plain or rounded; both may draft."""
    plain, draft = held(pair.target_path, "none"), held(pair.draft_path, "int8")
    for target, helper in ((rounded, draft), (plain, rounded), (rounded, rounded)):
        one, other = target.computed_by(compile=compile), helper.computed_by(compile=compile)
        engine = Engine(target=one, draft=other, pruner=Uniform(ratio=0.5), gamma=3, max_new_tokens=16)
        assert engine.run(video, "Where?").tokens == engine.baseline().run(video, "Where?").tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantisation": "int3"}, "must be one of none, int8, got 'int3'"),
        ({"quantisation": "int8", "dtype": "float64"}, "must be none in float64, which torchao lacks, got 'int8'"),
        (
            {"quantisation": "int8", "device_map": {"": "cpu"}},
            "must be none beside a device_map or a tp_plan, got 'int8'",
        ),
    ],
)
def test_what_cannot_be(pair: Pair, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        load(str(pair.target_path), field="draft", **options)  # type: ignore[arg-type]
    assert str(caught.value) == f"draft.quantisation: {message}"


def test_without_its_package(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("No module named 'torchao'")

    monkeypatch.setattr(module, "_torchao", missing)
    with pytest.raises(ValueError, match=r"^target.quantisation: int8 needs torchao \(pip install 'torchao>=0.18'\)"):
        load(str(pair.target_path), quantisation="int8")
    assert load(str(pair.target_path)).depth == pair.target.depth


@needs_torchao
def test_a_checkpoint_that_is_quantised_already(tmp_path: Path) -> None:
    from torchao.core.config import config_to_dict
    from torchao.quantization import Int8WeightOnlyConfig

    folder = FAMILIES["qwen2_5_vl"](tmp_path / "target")
    config = json.loads((folder / "config.json").read_text())
    setting = {"quant_method": "torchao", "quant_type": {"default": config_to_dict(Int8WeightOnlyConfig())}}
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": setting}))
    with pytest.raises(ValueError, match=r"^target.quantisation: must be none for '.*', which is quantised already"):
        load(str(folder), quantisation="int8")
