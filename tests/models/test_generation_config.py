"""What a generation config asks beyond greedy decoding is named once; sampling dials, which greedy ignores, are not."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from tests.conftest import Pair
from vsd.models import load
from vsd.models.generation_config import beyond_greedy

CHANGES: dict[str, Any] = {
    "repetition_penalty": 1.05,
    "encoder_repetition_penalty": 1.2,
    "no_repeat_ngram_size": 2,
    "encoder_no_repeat_ngram_size": 2,
    "bad_words_ids": [[5]],
    "suppress_tokens": [5, 6],
    "begin_suppress_tokens": [5],
    "sequence_bias": [[[5], -10.0]],
    "forced_bos_token_id": 5,
    "forced_eos_token_id": 5,
    "exponential_decay_length_penalty": [3, 1.5],
    "guidance_scale": 1.5,
    "min_length": 10,
    "min_new_tokens": 10,
    "num_beams": 3,
    "stop_strings": ["."],
}
LEAVES: dict[str, Any] = {
    "do_sample": True,
    "temperature": 1e-6,
    "top_p": 0.001,
    "top_k": 1,
    "min_p": 0.1,
    "typical_p": 0.5,
    "epsilon_cutoff": 0.1,
    "renormalize_logits": True,
    "remove_invalid_values": True,
    "max_length": 20,
    "max_new_tokens": 7,
    "use_cache": False,
    "eos_token_id": [3, 4],
    "pad_token_id": 3,
    "output_scores": True,
}


def with_generation(pair: Pair, folder: Path, **settings: Any) -> Path:
    shutil.copytree(pair.target_path, folder)
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_greedy_tokens_is_found(name: str, pair: Pair, tmp_path: Path) -> None:
    model = load(str(with_generation(pair, tmp_path / "copy", **{name: CHANGES[name]}))).model
    assert list(beyond_greedy(model)) == [name]


def test_what_changes_none_is_not(pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="vsd"):
        model = load(str(with_generation(pair, tmp_path / "copy", **LEAVES))).model
    assert beyond_greedy(model) == {}
    assert not [record for record in caplog.records if record.name.startswith("vsd")]


def test_values_without_effect_are_not(pair: Pair, tmp_path: Path) -> None:
    neutral = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0, "num_beams": 1}
    assert beyond_greedy(load(str(with_generation(pair, tmp_path / "copy", **neutral))).model) == {}


def test_one_warning_names_all_of_the_target_s(pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    qwen = {"repetition_penalty": 1.05, "temperature": 0.1, "do_sample": True, "no_repeat_ngram_size": 3}
    folder = with_generation(pair, tmp_path / "copy", **qwen)
    with caplog.at_level(logging.WARNING, logger="vsd"):
        load(str(folder))
        load(str(folder), field="draft")
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("vsd")]
    assert "asks for repetition_penalty=1.05, no_repeat_ngram_size=3, which vsd does not apply" in said
    assert "temperature" not in said


@pytest.mark.parametrize(
    "name", ["suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "sequence_bias", "top_k"]
)
def test_transformers_agrees(name: str, pair: Pair) -> None:
    """A setting that is named does change greedy generate's tokens, one that is not does not."""
    ids = torch.tensor([[3, 4, 5]])
    plain = generate(pair, ids)
    first = plain[:1]
    values = {"bad_words_ids": [first], "sequence_bias": [[first, -1e4]], "top_k": 1}
    changed = generate(pair, ids, **{name: values.get(name, first)}) != plain
    assert changed == (name in CHANGES)


def generate(pair: Pair, ids: torch.Tensor, **settings: Any) -> list[int]:
    config = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=271, **settings)
    own, pair.target.model.generation_config = pair.target.model.generation_config, config
    try:
        found: list[int] = pair.target.model.generate(ids)[0, 3:].tolist()
    finally:
        pair.target.model.generation_config = own
    return found
