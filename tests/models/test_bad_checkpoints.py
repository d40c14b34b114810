"""Checkpoints that cannot work are refused in one line, before any weight is loaded; good ones of any layout load."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaOnevisionForConditionalGeneration, Qwen2_5_VLForConditionalGeneration

from tests.conftest import FAMILIES, Pair
from vsd.models import VideoLM, load
from vsd.types import Video

Break = Callable[[Path], Any]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456789\n"
INDEX = "model.safetensors.index.json"


def drop(*patterns: str) -> Break:
    def broken(folder: Path) -> None:
        for pattern in patterns:
            for file in folder.glob(pattern):
                file.unlink()

    return broken


def write(name: str, content: bytes) -> Break:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:200])


def edit(change: Callable[[dict[str, Any]], Any], name: str = "config.json") -> Break:
    def apply(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return apply


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Break:
    def apply(folder: Path) -> None:
        file = folder / "model.safetensors"
        held = load_file(file)
        change(held)
        save_file(held, file, metadata={"format": "pt"})

    return apply


def shards(folder: Path) -> None:
    """Two files of weights, of which one is lost."""
    names = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    places = {name: f"model-0000{1 + (place > 9)}-of-00002.safetensors" for place, name in enumerate(names)}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))


def layer_1(held: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in held if ".layers.1." in name and "vis" not in name]


def reshape(held: dict[str, torch.Tensor]) -> None:
    name = next(name for name in held if name.endswith("lm_head.weight"))
    held[name] = held[name][:100].clone()


BAD: dict[str, tuple[Break, str]] = {
    "no configuration": (drop("config.json"), "a checkpoint folder must hold a config.json"),
    "a configuration that is no JSON": (write("config.json", b"{model_type: x"), "config.json must be a JSON file"),
    "a configuration that is a list": (write("config.json", b"[]"), "config.json must hold a JSON object, got a list"),
    "another family": (
        edit(lambda config: config.update(model_type="gpt2")),
        r"model_type must be one of \['llava_onevision', 'qwen2_5_vl'\], got 'gpt2'",
    ),
    "a text-only model": (
        edit(lambda config: config.update(model_type="qwen2")),
        r"model_type must be one of .*, got 'qwen2'",
    ),
    "no text_config": (edit(lambda config: config.pop("text_config")), "config.json must hold a text_config"),
    "no vision_config": (edit(lambda config: config.pop("vision_config")), "config.json must hold a vision_config"),
    "sliding windows": (
        edit(
            lambda config: config["text_config"].update(
                use_sliding_window=True, sliding_window=64, max_window_layers=1, layer_types=None
            )
        ),
        "all layers must have full attention .* got sliding_attention",
    ),
    "a sliding layer": (
        edit(lambda config: config["text_config"]["layer_types"].__setitem__(1, "sliding_attention")),
        "all layers must have full attention .* got sliding_attention",
    ),
    "no chat template": (drop("chat_template.*"), "a checkpoint must hold a chat template"),
    "a chat template of texts": (
        write("chat_template.jinja", b"{% for message in messages %}{{ message['role'] }}{% endfor %}"),
        r"its chat template must show a video once, as <.*video.*>, got 0",
    ),
    "a damaged chat template": (write("chat_template.jinja", b"{% for %}"), "its chat template must be readable"),
    "no tokenizer": (drop("tokenizer*"), "a checkpoint folder must hold a tokenizer"),
    "a truncated tokenizer": (cut("tokenizer.json"), "tokenizer.json must be a JSON file"),
    "a tokenizer of another form": (write("tokenizer.json", b"{}"), "must be a checkpoint .* that can be read"),
    "no processor": (drop("processor_config.json"), "a checkpoint folder must hold the settings of a processor"),
    "a truncated processor": (cut("processor_config.json"), "processor_config.json must be a JSON file"),
    "a LoRA adapter": (write("adapter_config.json", b"{}"), "must hold a whole model, no LoRA .*merge_and_unload"),
    "no weights": (drop("*.safetensors"), "a checkpoint folder must hold weights"),
    "a pointer of git-lfs": (write("model.safetensors", LFS), "not a git-lfs pointer to it: run git lfs pull"),
    "a tokenizer that is a pointer": (write("tokenizer.json", LFS), "not a git-lfs pointer to it: run git lfs pull"),
    "empty weights": (write("model.safetensors", b""), "a file of weights must not be empty"),
    "weights of another form": (write("model.safetensors", b"not weights"), "weights must be readable"),
    "truncated weights": (cut("model.safetensors"), "weights must be readable"),
    "a shard that is missing": (shards, r"must hold all 2 files that .*index.json names, got no model-00002-of-00002"),
    "an index without files": (
        lambda folder: (drop("*.safetensors")(folder), write(INDEX, b"{}")(folder)),
        "an index of weights must hold a weight_map",
    ),
    "missing weights": (
        weights(lambda held: [held.pop(name) for name in layer_1(held)]),
        r"got 12 missing \(model\.language_model\.layers\.1\.\S+, \S+, \S+ and 9 more\)",
    ),
    "a missing head": (
        weights(lambda held: [held.pop(name) for name in list(held) if "lm_head" in name]),
        r"got 1 missing \(lm_head\.weight\)",
    ),
    "unexpected weights": (
        weights(lambda held: held.update({"more.of.them": torch.zeros(2)})),
        r"got 1 unexpected \(more\.of\.them\)",
    ),
    "weights of another shape": (
        weights(reshape),
        r"got 1 of another shape \(lm_head\.weight \(100, 32\) for \(272, 32\)\)",
    ),
    "fewer layers than it says": (
        edit(lambda config: config["text_config"].update(num_hidden_layers=2, layer_types=["full_attention"] * 2)),
        r"got 12 unexpected \(model\.\S+",
    ),
    "flash attention without its package": (
        edit(lambda config: config.update(_attn_implementation="flash_attention_2")),
        r"a checkpoint that asks for flash_attention_2 needs its package \(pip install flash-attn\)",
    ),
    "a quantisation that nobody knows": (
        edit(lambda config: config.update(quantization_config={"quant_method": "exl2"})),
        "its quantisation, exl2, must be one that transformers can run here",
    ),
}
PACKAGES = {
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "gptqmodel"),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "optimum"),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
    "compressed-tensors": (
        {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {}},
        "compressed-tensors",
    ),
    "torchao": ({"quant_method": "torchao", "quant_type": "int8"}, "torchao"),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp("good") / request.param)


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading fails the test, save of tensors without values."""
    for kind in (LlavaOnevisionForConditionalGeneration, Qwen2_5_VLForConditionalGeneration):
        real = kind.from_pretrained

        def guarded(*args: Any, real: Any = real, **options: Any) -> Any:
            held = options.get("state_dict")
            assert held is not None, "weights were loaded"
            assert {weight.device.type for weight in held.values()} == {"meta"}
            return real(*args, **options)

        monkeypatch.setattr(kind, "from_pretrained", guarded)


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:
        load(str(folder), field="draft", **options)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("fault", BAD)
def test_refused(fault: str, good: Path, tmp_path: Path) -> None:
    broken, message = BAD[fault]
    shutil.copytree(good, tmp_path / "bad")
    broken(tmp_path / "bad")
    said = refusal(tmp_path / "bad")
    assert said.startswith("draft.path: ")
    assert re.search(message, said), said


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("method", PACKAGES)
def test_a_quantised_checkpoint_names_the_package_that_it_needs(method: str, good: Path, tmp_path: Path) -> None:
    setting, package = PACKAGES[method]
    try:
        __import__(package.replace("-", "_"))
    except ImportError:
        shutil.copytree(good, tmp_path / "bad")
        edit(lambda config: config.update(quantization_config=setting))(tmp_path / "bad")
        said = refusal(tmp_path / "bad")
        assert re.search(rf"quantised by {method} needs {package}\S* \(pip install '{package}", said), said
    else:
        pytest.skip(f"{package} is installed")


@pytest.mark.usefixtures("no_weights")
def test_a_file_is_no_folder(good: Path) -> None:
    assert "a checkpoint must be a folder or a hub name, got the file" in refusal(good / "model.safetensors")


def test_any_layout_of_names_loads_the_same_weights(pair: Pair, tmp_path: Path, video: Video) -> None:
    """transformers saves in the hub's older layout; newer checkpoints name their weights as the model does."""
    newer = tmp_path / "newer"
    shutil.copytree(pair.target_path, newer)
    own = {name: weight.contiguous().clone() for name, weight in pair.target.model.state_dict().items()}
    assert set(own) != set(load_file(newer / "model.safetensors"))
    save_file(own, newer / "model.safetensors", metadata={"format": "pt"})
    assert_same(pair.target, load(str(newer), dtype="float64"), video)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_of_the_older_kinds_of_file_load(zipped: bool, pair: Pair, tmp_path: Path, video: Video) -> None:
    older = tmp_path / "older"
    shutil.copytree(pair.target_path, older)
    held = load_file(older / "model.safetensors")
    torch.save(held, older / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (older / "model.safetensors").unlink()
    assert_same(pair.target, load(str(older), dtype="float64"), video)


def test_an_older_file_of_something_else_is_refused(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(good, folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Path("a")}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"target\.path: weights must be readable, got .*pytorch_model\.bin"):
        load(str(folder))


def test_what_transformers_computes_or_ties_may_be_missing_or_there(good: Path, tmp_path: Path) -> None:
    def tie(held: dict[str, torch.Tensor]) -> None:
        held.pop(next(name for name in held if name.endswith("lm_head.weight")))
        prefix = next(name for name in held if name.endswith("layers.0.input_layernorm.weight"))
        held[prefix.replace("input_layernorm.weight", "self_attn.rotary_emb.inv_freq")] = torch.ones(4)

    folder = tmp_path / "tied"
    shutil.copytree(good, folder)
    weights(tie)(folder)
    edit(
        lambda config: (config.update(tie_word_embeddings=True), config["text_config"].update(tie_word_embeddings=True))
    )(folder)
    model = load(str(folder)).model
    assert model.lm_head.weight.data_ptr() == model.model.language_model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.update(layer_types=None),
        lambda text: text.pop("layer_types"),
        lambda text: text.update(use_sliding_window=False, sliding_window=64, max_window_layers=1),
    ],
)
def test_full_attention_however_it_is_said(change: Any, good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "said")
    edit(lambda config: change(config["text_config"]))(tmp_path / "said")
    assert load(str(tmp_path / "said")).depth == 3


def assert_same(model: VideoLM, other: VideoLM, video: Video) -> None:
    ours, theirs = (each.prefill(each.encode(video, "What?"))[1] for each in (model, other))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
