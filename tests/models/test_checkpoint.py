"""Bad paths, pairs, devices and dtypes are refused in one sentence that names the field, the rule and the value."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FAMILIES, Pair
from vsd.models import check_pair, inspect, load


def test_inspect_reads_no_weights(pair: Pair, tmp_path: Path) -> None:
    shutil.copytree(pair.target_path, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"not weights")
    info = inspect(str(tmp_path / "copy"))
    assert (info.model_type, info.vocab, info.context) == (pair.family, pair.target.vocab, pair.target.context)
    with pytest.raises(ValueError, match=r"target\.path: weights must be readable, got '.*model\.safetensors'"):
        load(str(tmp_path / "copy"))


def test_folder_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"draft\.path: the checkpoint folder must exist, got '.*nowhere'"):
        load(str(tmp_path / "nowhere"), field="draft")


@pytest.mark.parametrize("name", ["zoo:none/target", "zoo:qwen2_5_vl", "zoo:qwen2_5_vl/draft", "zoo:", "zoo:../zoo"])
def test_unknown_bundled_checkpoint(name: str) -> None:
    rule = r"a bundled checkpoint must be one of \[.*'zoo:qwen2_5_vl/near', 'zoo:qwen2_5_vl/other', .*\]"
    with pytest.raises(ValueError, match=rf"^target\.path: {rule}, got '{name}'$"):
        inspect(name)


def test_tokenizers_must_agree(pair: Pair, tmp_path: Path) -> None:
    other = inspect(str(FAMILIES[pair.family](tmp_path / "other", swapped=True)))
    check_pair(inspect(str(pair.target_path)), inspect(str(pair.draft_path)))
    with pytest.raises(ValueError, match=r"draft\.path: target and draft have different tokenizers"):
        check_pair(inspect(str(pair.target_path)), other)


def test_a_pair_is_of_one_family(tmp_path: Path) -> None:
    qwen, llava = (inspect(str(FAMILIES[name](tmp_path / name))) for name in ("qwen2_5_vl", "llava_onevision"))
    assert qwen.tokenizer == llava.tokenizer
    with pytest.raises(ValueError, match=r"draft\.path: .* of one family, .* got qwen2_5_vl and llava_onevision in '"):
        check_pair(qwen, llava)


@pytest.mark.parametrize(("option", "value"), [("device", "cuda:99"), ("device", "abacus"), ("dtype", "int8")])
def test_device_and_dtype(pair: Pair, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"target\.{option}: .* got '{value}'"):
        load(str(pair.target_path), **{option: value})


def test_vocab_cuts_the_logits(pair: Pair) -> None:
    assert load(str(pair.target_path), vocab=100).vocab == 100
    with pytest.raises(ValueError, match="vocab: "):
        pair.target.narrow(10**6)
