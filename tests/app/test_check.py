"""Bad input is refused before weights load, with the field, the rule and the value."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hydra.utils import instantiate

from tests.app.conftest import Compose, FakeEngine
from vsd.run import app, notices
from vsd.run.app import UsageError
from vsd.run.check import check_dials
from vsd.run.machine import MachineMeter, MachineState
from vsd.run.notices import shared_gpus, unused_dials


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ratio=1", r"ratio: must be a number in \[0, 1\), got 1"),
        ("ratio=-0.1", r"ratio: must be .* got -0.1"),
        ("ratio=nan", r"ratio: must be .* got nan"),
        ("ratio=abc", r"ratio: must be .* got 'abc'"),
        ("gamma=0", r"gamma: must be a whole number, at least 1, got 0"),
        ("gamma=2.5", r"gamma: .* got 2.5"),
        ("frames=0", r"frames: .* got 0"),
        ("max_new_tokens=0", r"max_new_tokens: .* got 0"),
        ("max_pixels=0", r"max_pixels: must be null or a whole number, at least 1, got 0"),
        ("max_pixels=63", r"target.max_pixels: must be null or a whole number, .* 8 x 8 pixels, got 63"),
        ("draft.max_pixels=many", r"draft.max_pixels: must be null or a whole number, .* got 'many'"),
        ("limit=0", r"limit: .* got 0"),
        ("shard=2/2", r"shard: must be i/n"),
        ("seed=-1", r"seed: .* got -1"),
        ("seed=4294967296", r"seed: .* got 4294967296"),
        ("device=null", r"device: must be the name of a device, got None"),
        ("target.path=123", r"target.path: must be a checkpoint folder or a hub name, got 123"),
        ("temperature=-1", r"temperature: .* got -1"),
        ("temperature=0.7", r"temperature: must be 0 for a verifier that does not sample, got 0.7"),
        ("positions=bent", r"positions: must be original or compact, got 'bent'"),
        ("dtype=int8", r"dtype: .* got 'int8'"),
        ("baseline=maybe", r"baseline: .* got 'maybe'"),
        ("prefill_chunk=0", r"target.prefill_chunk: must be null or a whole number, at least 1, got 0"),
        ("draft.prefill_chunk=few", r"draft.prefill_chunk: must be null or a whole number, at least 1, got 'few'"),
        ("attention=flash", r"target.attention: must be one of auto, fused, split, got 'flash'"),
        ("draft.attention=0", r"draft.attention: must be one of auto, fused, split, got 0"),
        ("target.quantisation=int3", r"target.quantisation: must be one of none, int8, got 'int3'"),
        ("draft.quantisation=int8,dtype=float64", r"draft.quantisation: must be none in float64, .* got 'int8'"),
        ("compile=fast", r"target.compile: must be one of none, eager, inductor, cudagraph, got 'fast'"),
        ("compile=cudagraph", r"target.compile: must be another than cudagraph on cpu, got 'cudagraph'"),
        ("draft.compile=fast", r"draft.compile: must be one of none, eager, inductor, cudagraph, got 'fast'"),
        ("compile=eager,target.device_map=auto", r"target.compile: must be none beside a device_map or .* got 'eager'"),
        ("device=cuda:99", r"device: the device must be available .* 'cuda:99'"),
        ("draft=none", r"draft: this drafter needs a draft model"),
        ("draft.device=cuda:99", r"draft.device: the device must be available .* 'cuda:99'"),
        ("draft.dtype=int8", r"draft.dtype: the dtype must be one of .* got 'int8'"),
        ("target.device_map=everywhere", r"target.device_map: must be null, one of auto, .* got 'everywhere'"),
        ("draft.device_map={head:cpu}", r"draft.device_map: its modules must be the model's, got 'head'"),
        ("target.device_map={lm_head:cpu}", r"target.device_map: must place the whole model, .* 'model\..*"),
        ("data=folder", r"data.path: must be a video file or a folder"),
        ("target.path=null", r"target.path: must be a checkpoint folder or a hub name, got None"),
        ("target.path=/no/such/folder", r"target.path: .* '/no/such/folder'"),
        ("target.path=some/model", r"target.path: .*hub name.*"),
        ("max_new_tokens=512", r"max_new_tokens: must be below the context .* 512 tokens, got 512"),
        ("pruner=uv_prune,pruner.layer=99", r"needs: hidden:99 must mean a layer in \[0, \d+\], got 99"),
        ("top_p=0", r"top_p: must be a number in \(0, 1\], got 0"),
        ("top_k=-1", r"top_k: must be a whole number, at least 0, got -1"),
        ("verifier=lvspec,exact=true", r"exact: the verifier must be lossless, got LVSpec"),
        ("verifier=lvspec,verifier.looseness=2", r"verifier.looseness: must be in \[0, 1\], got 2"),
        ("relevance.top_n=0", r"relevance.top_n: must be a whole number, at least 1, got 0"),
        ("draft_vocab=/no/such/file", r"draft_vocab: must be a JSON file .* '/no/such/file'"),
        ("executor=simulated", r"executor.profile: must be a file of step times, or devices .* got nothing"),
        ("executor=simulated,executor.profile=abacus", r"executor.profile: must be a file .* got 'abacus'"),
        ("executor=process,executor.timeout_s=0", r"executor.timeout_s: must be a number above 0, got 0"),
        ("executor=process,executor.threads=-1", r"executor.threads: must be a whole number, at least 0, got -1"),
        ("pruner.ratio=1.5", r"pruner.ratio .* 1.5"),
        ("+verifier.looseness=1", r"verifier.looseness: must be a field of Greedy \(.*\), got 'looseness'$"),
        ("without=tree", r"without: must be nothing, but with an experiment that lists its parts .* got 'tree'"),
        ("experiment=naive,without=pruning", r"without: must be nothing, but with an experiment .* got 'pruning'"),
        (
            "experiment=hippo,without=tree",
            r"without: must be a part of this experiment \(attention_score, .*, got 'tree'",
        ),
        ("experiment=hippo,without=relevance", r"without: must be a part of this experiment \(.*, got 'relevance'"),
        (
            "experiment=parallelvlm,pruner=specvlm,without=growth",
            r"pruner.growth: must be a field of SpecVLM \(ratio, p\), got 'growth' \(without=growth\)",
        ),
    ],
)
def test_refused(override: str, message: str, configure: Compose, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    paths = [f"{role}.path={checkpoints[role]}" for role in ("target", "draft")]
    paths = [path for path in paths if not (override.startswith("draft=") and path.startswith("draft."))]
    with pytest.raises(UsageError, match=f"^{message}") as caught:
        app.run(configure(*paths, *override.split(",")), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "samples.jsonl").exists()


@pytest.mark.parametrize("role", ["target", "draft"])
def test_a_folder_without_weights_is_refused(
    role: str, configure: Compose, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    shutil.copytree(checkpoints[role], empty, ignore=shutil.ignore_patterns("*.safetensors"))
    paths = {**checkpoints, role: empty}
    with pytest.raises(UsageError, match=rf"{role}.path: a checkpoint folder must hold weights"):
        app.run(configure(f"target.path={paths['target']}", f"draft.path={paths['draft']}"), tmp_path / "run")


def test_different_tokenizers_are_refused(configure: Compose, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    cfg = configure(f"target.path={checkpoints['target']}", f"draft.path={checkpoints['swapped']}")
    with pytest.raises(UsageError, match=r"draft.path: .*different tokenizers"):
        app.run(cfg, tmp_path / "run")


def test_a_shard_without_samples_is_refused(configure: Compose, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shard: must leave this job a sample, got '2/3' \(limit=2\)"):
        app.run(configure("limit=2", "shard=2/3"), tmp_path / "run")


@pytest.mark.parametrize("dials", [[], ["ratio=0"], ["limit=1"], ["baseline=cache"], ["baseline=false"], ["gamma=1"]])
def test_good_dials_pass(dials: list[str], configure: Compose) -> None:
    check_dials(configure(*dials))


@pytest.mark.parametrize(
    ("overrides", "drafts", "unused"),
    [
        (["pruner=none", "ratio=0.9"], True, ["ratio"]),
        (["pruner=hippo", "ratio=0.9", "gamma=3", "seed=1", "device=cpu"], True, []),
        (
            ["parallelism=autoregressive", "gamma=3", "ratio=0.5", "positions=compact"],
            False,
            ["gamma", "ratio", "positions"],
        ),
        (["baseline_folder=x"], True, ["baseline_folder"]),
        (["baseline=cache", "baseline_folder=x"], True, []),
        (["pruner=none"], True, []),
    ],
)
def test_a_dial_that_changes_nothing_is_told(
    overrides: list[str], drafts: bool, unused: list[str], configure: Compose
) -> None:
    found = unused_dials(configure(*overrides), overrides, drafts=drafts, uses_draft=drafts)
    assert [warning.split("=")[0] for warning in found] == unused


@pytest.mark.parametrize(
    ("overrides", "shared"),
    [
        (("device=cuda",), "cuda:0"),
        (("device=cuda:1", "draft.device=cuda:1"), "cuda:1"),
        (("device=cuda:0", "draft.device=cuda:1"), ""),
        (("device=cuda", "target.device_map={model: 0, lm_head: 1}", "draft.device=cuda:1"), "cuda:1"),
        (("device=cpu",), ""),
    ],
)
def test_two_processes_on_one_gpu_are_named(overrides: tuple[str, ...], shared: str, configure: Compose) -> None:
    found = shared_gpus(configure("parallelism=pearl", *overrides))
    assert len(found) == bool(shared)
    if shared:
        assert f"share {shared}, where two processes take turns" in found[0]
        assert "MPS" in found[0]


@pytest.mark.parametrize(
    ("overrides", "least"),
    [
        (["verifier=fly"], 7),
        (["verifier=fly", "gamma=7"], None),
        (["verifier=fly", "gamma=10", "drafter=tree"], 7),
        (["verifier=fly", "gamma=10", "drafter=adaptive"], None),
        (["verifier=fly", "verifier.end=fits"], 6),
        (["verifier=exact_prefix", "verifier@verifier.inner=fly"], 7),
        (["verifier=fly", "parallelism=autoregressive"], None),
        (["verifier=lvspec"], None),
    ],
)
def test_a_draft_too_short_for_the_rule_is_spoken_of(
    overrides: list[str], least: int | None, configure: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    app.prepare(configure(*overrides), overrides)
    found = [record.message for record in caplog.records if "relaxes nothing" in record.message]
    rule = f"with window=6 a draft must be at least {least} tokens long (gamma, or a deeper tree)"
    expected = f"verifier=fly relaxes nothing: {rule}, got 5"
    assert found == ([expected] if least else [])


@pytest.mark.parametrize(
    ("cores", "threads", "executor", "said"),
    [
        (1, 1, "process", "one core for two models"),
        (2, 1, "process", ""),
        (2, 2, "process", "2 cores for two models that compute with 2 and 2 threads: .* (OMP_NUM_THREADS=1)"),
        (4, 2, "thread", ""),
        (8, 6, "process", "8 cores for two models that compute with 6 and 6 threads: .* (OMP_NUM_THREADS=4)"),
        (8, 6, "process,executor.threads=2", ""),
    ],
)
def test_too_few_cores_are_said(
    cores: int, threads: int, executor: str, said: str, configure: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "usable_cores", lambda: cores)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    cfg = configure("parallelism=pearl", *f"executor={executor}".split(","))
    found = notices.crowded_cores(cfg, instantiate(cfg.executor))
    assert len(found) == bool(said)
    assert re.match(said.replace("(", r"\(").replace(")", r"\)"), "".join(found))
    assert notices.crowded_cores(configure("parallelism=pearl", "device=cuda"), instantiate(cfg.executor)) == []


def test_a_busy_machine_is_said_once(
    fake: FakeEngine,
    configure: Compose,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("os.getloadavg", lambda: (9.0, 0, 0))  # of our own last command
    monkeypatch.setattr(MachineMeter, "look", lambda self: MachineState(load=9.0, others=1.9))
    assert notices.busy_machine() == []
    monkeypatch.setattr(MachineMeter, "look", lambda self: MachineState(others=2.6))
    app._say_if_busy.cache_clear()
    with pytest.raises(UsageError):  # a mistake is all that is said
        app.run(configure("gamma=0"), tmp_path / "run")
    assert not caplog.records
    for _ in range(2):
        app.run(configure("limit=1", "callbacks=quiet"), tmp_path / "run")
    said = [record.message for record in caplog.records if record.name.startswith("vsd.run")]
    assert said.count("this machine is busy (others use 2.6 of 4 cores): measured speeds will be off") == 1
    # the second run had nothing left to decode
    assert said.count("this machine was busy (others used 2.6 of 4 cores during the run): measured speeds are off") == 1


def test_a_machine_that_becomes_busy_is_said_at_the_end(
    fake: FakeEngine,
    configure: Compose,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    looks = iter([MachineState(others=0.1), MachineState(others=1.2)])
    monkeypatch.setattr(MachineMeter, "look", lambda self: next(looks))
    app._say_if_busy.cache_clear()
    app.run(configure("limit=1", "callbacks=quiet"), tmp_path / "run")
    said = [record.message for record in caplog.records if "busy" in record.message]
    assert said == ["this machine was busy (others used 1.2 of 2 cores during the run): measured speeds are off"]


def test_what_others_use_is_measured_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what this process has just done."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    looks = iter([(0.0, 100.0, 90.0), (0.3, 100.5, 90.1)])
    monkeypatch.setattr("vsd.run.machine._seconds", lambda: next(looks))
    assert notices.busy_machine() == ["this machine is busy (others use 1.3 of 2 cores): measured speeds will be off"]
