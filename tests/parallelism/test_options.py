"""Every file of conf/parallelism, with every lossless verifier and a pruner of each kind of evidence, is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.conftest import Pair
from vsd.engine import Engine
from vsd.types import Video

CONF = Path(__file__).resolve().parents[2] / "conf"
NAMES = sorted(file.stem for file in (CONF / "parallelism").glob("*.yaml"))
STRICT = [["verifier=greedy"], ["verifier=lvspec", "verifier.looseness=0"], ["verifier=topk", "verifier.k=1"]]


def method(group: str, *overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return instantiate(compose("config", overrides=list(overrides))[group])


@pytest.mark.parametrize("pruner", ["none", "uniform", "specvlm", "hippo", "uv_prune"])
@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_is_exact(pair: Pair, video: Video, name: str, pruner: str) -> None:
    inline = [] if name in ("autoregressive", "sequential") else ["parallelism.executor=inline"]
    schedule = method("parallelism", f"parallelism={name}", *inline)
    alone = Engine(target=pair.target, draft=pair.draft, max_new_tokens=16).baseline().run(video, "What moves?").tokens
    for strict in STRICT:
        run = Engine(
            target=pair.target,
            draft=pair.draft,
            pruner=method("pruner", f"pruner={pruner}", "ratio=0.5"),
            verifier=method("verifier", *strict),
            parallelism=schedule,
            gamma=3,
            max_new_tokens=16,
        )
        assert run.run(video, "What moves?").tokens == alone, strict


def test_a_schedule_of_chains_refuses_trees_before_any_weight_is_loaded(tmp_path: Path) -> None:
    from vsd import app

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["parallelism=pearl", "drafter=tree"])
    with pytest.raises(app.UsageError, match="drafter: Pearl needs chains, got Tree"):
        app.run(cfg, tmp_path / "run")
