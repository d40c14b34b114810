"""A line for each job of a multirun."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from rich.markup import render

from vsd.run.callbacks.multirun import jobs_of, swept
from vsd.run.report.line import job_line
from vsd.run.swept import asked

FINE = {"speed/decode": 1.93, "accept/draft_length": 4.2, "exact/unexplained": 0.0, "samples/failed": 0.0}


@pytest.mark.parametrize(
    ("metrics", "spent_s", "expected"),
    [
        (FINE, 30.0, "job 2  ratio=0.9  1.93x decoding, 4.20 accepted  3 of 12, 0:01:30 left"),
        (FINE, None, "job 2  ratio=0.9  1.93x decoding, 4.20 accepted"),
        (FINE | {"exact/unexplained": 2.0}, None, "job 2  ratio=0.9  1.93x decoding, 4.20 accepted, 2 not exact"),
        (
            FINE | {"quality/retention": 1.0, "exact/mismatched": 0.0},
            None,
            "job 2  ratio=0.9  1.93x decoding, 4.20 accepted",
        ),
        ({"samples/failed": 3.0}, None, "job 2  ratio=0.9  3 samples failed"),
        (None, 30.0, "job 2  ratio=0.9  failed  3 of 12, 0:01:30 left"),
    ],
)
def test_a_line(metrics: Mapping[str, float] | None, spent_s: float | None, expected: str) -> None:
    assert render(job_line(2, 12, ["ratio=0.9"], metrics, spent_s)).plain == expected


def test_the_last_one_leaves_nothing() -> None:
    assert "left" not in job_line(11, 12, [], FINE, 30.0)


def test_what_a_sweep_varies() -> None:
    overrides = ["pruner=hippo,random", "ratio=0.5,0.9,0.95", "limit=4", "gamma=range(1,5)", "data.ask=[one,two]"]
    assert jobs_of(overrides) == 24
    assert swept(overrides) == {"pruner", "ratio", "gamma"}
    assert jobs_of(["limit=4"]) == 1
    brought = asked({"without": "nothing,tree", "ratio": "0.5,0.9"}, ["experiment=ablation/specvlm", "ratio=0.8"])
    assert jobs_of(brought) == 2
    assert swept(brought) == {"without"}
