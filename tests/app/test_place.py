"""Where a run's models go and whether they fit, decided from the config before a weight is loaded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from tests.app.conftest import Compose
from vsd.models import hardware, room
from vsd.run import app
from vsd.run.app import UsageError


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Free bytes by device, as the check is told."""
    told: dict[str, int] = {}
    monkeypatch.setattr(hardware, "free_memory", lambda devices: told)
    return told


def refusal(configure: Compose, tmp_path: Path, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        app.run(configure(*overrides), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "samples.jsonl").exists()
    return str(caught.value)


def sizes(configure: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[room.Need]:
    """What a run is said to need."""
    found: list[room.Need] = []
    monkeypatch.setattr(room, "check_room", lambda needs, free: found.extend(needs))
    app.prepare(configure(*overrides), [])
    return found


def test_what_does_not_fit_is_refused(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path, free: dict[str, int]
) -> None:
    free["cpu"] = 100_000
    given = [*pair, "data=folder", f"data.path={clips}", "device=cpu"]
    said = refusal(configure, tmp_path, *given, "dtype=float32")
    assert said.startswith("target.path: the weights and caches on cpu must fit its free memory, got 0.8 MiB")
    assert "what helps: " in said
    free["cpu"] = 2**40
    app.prepare(configure(*given), [])


def test_bfloat16_is_named_where_it_helps(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path, free: dict[str, int], monkeypatch: Any
) -> None:
    given = [*pair, "data=folder", f"data.path={clips}", "dtype=float64"]
    with monkeypatch.context() as patch:
        needed = sum(need.total for need in sizes(configure, tmp_path, patch, *given))
    free["cpu"] = needed // 2
    assert refusal(configure, tmp_path, *given).endswith("what helps: dtype=bfloat16")


def test_weights_count_once_for_a_target_that_drafts_for_itself(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [pair[0], *pair[2:], "draft=self", "data=folder", f"data.path={clips}"]
    target, draft = sizes(configure, tmp_path, monkeypatch, *given)
    assert target.weights > draft.weights == 0
    target, draft = sizes(configure, tmp_path, monkeypatch, *given, "draft.compile=eager", "draft.attention=split")
    assert target.weights > draft.weights == 0  # they are the same, however it computes
    worker = ["parallelism=pearl", "executor=process"]  # loads its own
    target, draft = sizes(configure, tmp_path, monkeypatch, *given, *worker)
    assert target.weights == draft.weights > 0


def test_the_cache_is_that_of_the_prompt_and_the_generation(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*pair, "data=folder", f"data.path={clips}"]
    monkeypatch.setattr(room, "bucket", lambda rows: rows)  # every row counts

    def caches(*more: str) -> tuple[int, int]:
        target, draft = sizes(configure, tmp_path, monkeypatch, *given, *more)
        return target.cache, draft.cache

    token = 2 * 3 * 2 * 8 * 4  # keys and values, layers, heads, values, bytes
    plain, longer, more = caches(), caches("max_new_tokens=18"), caches("frames=6")
    assert [after - before for before, after in zip(plain, longer, strict=True)] == [10 * token] * 2
    assert more[0] - plain[0] == 2 * token  # two more frames, of 1 x 2 visual tokens
    assert caches("pruner=none")[0] == caches("pruner=none")[1] == plain[0]
    assert plain[1] < plain[0]
    (clips / "a.mp4").write_bytes(b"")  # the next video tells the size
    assert caches() == plain


def test_a_draft_that_sees_another_grid_is_refused(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path
) -> None:
    given = [*pair, "data=folder", f"data.path={clips}", "draft.max_pixels=64"]
    said = refusal(configure, tmp_path, *given)
    assert said == (
        "draft.path: must see as many visual tokens of a video as the target, by their processors and max_pixels, "
        "got 4 and 2"
    )


@pytest.mark.parametrize(
    ("overrides", "gpus", "place"),
    [
        (["parallelism=pearl"], 2, "cuda:1"),
        (["parallelism=pearl", "executor=process"], 4, "cuda:1"),
        (["parallelism=pearl", "executor=inline"], 2, "cuda"),
        (["parallelism=sequential"], 2, "cuda"),
        (["parallelism=pearl"], 1, "cuda"),
        (["parallelism=pearl", "draft.device=cuda"], 2, "cuda"),
        (["parallelism=pearl", "target.device=cuda:1"], 2, "cuda"),
        (["parallelism=pearl", "target.device_map=auto"], 2, "cuda"),
        (["parallelism=pearl", "draft=self"], 2, "cuda:1"),
    ],
)
def test_the_draft_takes_the_second_gpu(
    overrides: list[str],
    gpus: int,
    place: str,
    configure: Compose,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    cfg = configure("device=cuda", *overrides)
    with caplog.at_level(logging.INFO, logger="vsd.run.app"):
        app._place_draft(cfg, instantiate(cfg.parallelism), instantiate(cfg.executor))
    assert cfg.draft.device == place
    said = ["draft.device: cuda:1, a GPU of its own, since target and draft work at once"]
    assert [record.getMessage() for record in caplog.records] == (said if place == "cuda:1" else [])


def test_a_bound_on_pixels_makes_other_baselines(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path
) -> None:
    given = [
        *pair,
        "data=folder",
        f"data.path={clips}",
        "limit=1",
        "baseline=cache",
        f"baseline_folder={tmp_path / 'b'}",
    ]
    for number, pixels in enumerate(("null", "64", "64")):
        metrics = app.run(configure(*given, f"max_pixels={pixels}"), tmp_path / str(number))
        assert metrics["exact/mismatched"] == 0
        assert metrics["prune/visual"] == (4 if pixels == "null" else 2)
        assert len(list((tmp_path / "b").glob("*.json"))) == min(number + 1, 2)
