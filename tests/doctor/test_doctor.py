"""The quick part of the doctor is green on a CPU, and what does not hold is said and is the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.models.test_split_attention import as_on_cuda
from vsd.commands.doctor import __main__ as doctor
from vsd.commands.doctor import decoding, kernels
from vsd.commands.doctor.checks import Finding, Machine, Skipped
from vsd.commands.doctor.shapes import random_3b
from vsd.models import split_attention
from vsd.step_times.shapes import SHAPES
from vsd.zoo import FAMILIES


@pytest.mark.usefixtures("quick_workers")
def test_a_cpu_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "FAMILIES", FAMILIES[:1])
    assert doctor.main(["--device", "cpu", "--json", str(tmp_path / "found.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads((tmp_path / "found.json").read_text())
    status = {check["name"]: check["status"] for check in found["checks"]}
    needs_cuda = {"growing keys", "head", "launches"}
    assert {name for name, each in status.items() if each == "skipped"} == {*needs_cuda, "large"}
    assert {name for name, each in status.items() if each == "ok"} == set(doctor.CHECKS) - needs_cuda - {"large"}
    assert len(lines) == len(doctor.CHECKS) + 2
    assert found["provenance"]["hardware"]["sdpa"]["cudnn"] is False
    assert found["checks"][0]["data"]["flags"]["cudnn"] is False


def test_what_fails_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(machine: Machine) -> Finding:
        raise RuntimeError("attn_bias_ptr is not correctly aligned")

    def elsewhere(machine: Machine) -> Finding:
        raise Skipped("needs two of them")

    monkeypatch.setattr(doctor, "CHECKS", {"masks": broken, "pairs": elsewhere})
    assert doctor.main(["--device", "cpu", "--json", str(tmp_path / "found.json")]) == 1
    text = capsys.readouterr().out
    assert "failed   masks          RuntimeError: attn_bias_ptr is not correctly aligned" in text
    assert "skipped  pairs          needs two of them" in text
    assert "1 failed: masks" in text
    assert "broken" in "".join(json.loads((tmp_path / "found.json").read_text())["checks"][0]["data"]["traceback"])


def test_a_device_that_is_not_here_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--device", "cuda:99"]) == 2
    assert "device: the device must be available on this machine, got 'cuda:99'" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--device", "cpu", "--json", str(tmp_path / "nowhere" / "found.json")]) == 2
    captured = capsys.readouterr()
    assert "nowhere" in captured.err
    assert not captured.out


def test_one_key_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a causal mask that is aligned to the wrong corner."""

    def all_seen(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **_: Any) -> Any:
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=scaling, enable_gqa=True)
        return mixed.transpose(1, 2), None

    monkeypatch.setattr(kernels, "attention_forward", all_seen)
    with pytest.raises(RuntimeError, match="6 rows must see their own keys last"):
        kernels.rows(Machine(device=torch.device("cpu")))


def test_a_hidden_piece_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU's kernel would have it under a mask of the least numbers."""
    monkeypatch.setattr(split_attention, "_with_share", as_on_cuda(split_attention._with_share))
    machine = Machine(device=torch.device("cpu"))
    assert kernels.split_keys(machine).data["float32"] < 1e-5
    monkeypatch.setattr(kernels, "hidden", lambda dtype: torch.finfo(dtype).min)
    with pytest.raises(RuntimeError, match=r"float32: keys in pieces must give the same to 0\.001, got"):
        kernels.split_keys(machine)


def test_a_large_model_has_the_shape_it_says() -> None:
    with FakeTensorMode():
        model = random_3b(torch.device("cuda"))
    assert model.depth == SHAPES["qwen2_5_vl_3b"].layers
    assert 3.0e9 < sum(weight.numel() for weight in model.text.parameters()) < 3.2e9
    assert model.model.dtype == torch.bfloat16
    assert model.device_names == {"cuda:0"}
