"""Curves over sweeps: what is drawn is what the runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from vsd.commands import plot
from vsd.run.results.curves import draw
from vsd.run.results.run import Run, find_runs

RATIOS = (0.9, 0.5, 0.0)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for number, (pruner, ratio) in enumerate((p, r) for p in ("hippo", "random") for r in RATIOS):
        seconds = 4.0 + ratio + (pruner == "random")
        records = [a_record(f"v{n}", [5, n % 4], seconds + n / 10) for n in range(4)]
        write_run(tmp_path / str(number), records, config(pruner, ratio), choices={"pruner": pruner})
    return tmp_path


@pytest.fixture
def runs(sweep: Path) -> list[Run]:
    return find_runs([sweep])


def test_a_line_for_each_value_and_a_panel_for_each_metric(runs: list[Run]) -> None:
    figure = draw(runs, x="ratio", ys=["speed/decode", "accept/draft_length"], by="pruner")
    assert len(figure.axes) == 2
    containers = figure.axes[0].containers
    assert [each.get_label() for each in containers] == ["hippo", "random"]
    for container, ours in zip(containers, (runs[:3], runs[3:]), strict=True):
        line, _, (bars,) = container
        assert list(line.get_xdata()) == sorted(RATIOS)
        assert list(line.get_ydata()) == pytest.approx([run.summary.values["speed/decode"] for run in ours[::-1]])
        ends = [segment[:, 1] for segment in bars.get_segments()]
        errors = [run.summary.errors["speed/decode"] for run in ours[::-1]]
        assert [(high - low) / 2 for low, high in ends] == pytest.approx(errors)
    assert "speed/decode" in figure.axes[0].get_ylabel()
    assert figure.axes[1].get_xlabel() == "ratio"


def test_what_else_differs_makes_the_lines(runs: list[Run]) -> None:
    figure = draw(runs, x="ratio", ys=["speed/decode"])
    assert [each.get_label() for each in figure.axes[0].containers] == ["hippo", "random"]


def test_a_metric_against_a_metric_has_bars_both_ways(runs: list[Run]) -> None:
    figure = draw(runs, x="accept/draft_length", ys=["speed/decode"], by="pruner", log="both")
    assert len(figure.axes[0].containers[0][2]) == 2
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_a_dial_of_words_and_facets(runs: list[Run]) -> None:
    figure = draw(runs, x="pruner", ys=["speed/decode"], by="gamma", facet="ratio")
    assert [axis.get_title() for axis in figure.axes] == ["0.9", "0.5", "0.0"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["hippo", "random"]
    assert figure.axes[0].containers[0][0].get_linestyle() == "None"  # a line would say that words have an order


def test_a_label_has_one_colour_in_all_panels(runs: list[Run]) -> None:
    some = [run for run in runs if run.choices["pruner"] == "random" or run.config["ratio"] != 0.9]
    figure = draw(some, x="gamma", ys=["speed/decode"], by="pruner", facet="ratio")
    colours = {
        (each.get_label(), each[0].get_color(), each[0].get_marker())
        for axis in figure.axes
        for each in axis.containers
    }
    assert len(colours) == 2
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"hippo", "random"}


def test_a_dial_by_its_last_word(runs: list[Run]) -> None:
    hippo = [run for run in runs if run.choices["pruner"] == "hippo"]
    figure = draw(hippo, x="alpha", ys=["speed/decode"], by="ratio")
    assert figure.axes[0].get_xlabel() == "pruner.alpha"
    assert {at for each in figure.axes[0].containers for at in each[0].get_xdata()} == {0.5}


def test_long_words_at_the_axis_do_not_stand_over_one_another(tmp_path: Path) -> None:
    parts = [f"a_long_name_of_a_part_{number}" for number in range(9)]
    for number, part in enumerate(parts):
        records = [a_record(f"v{n}", [5], 4.0 + n / 10) for n in range(2)]
        write_run(tmp_path / str(number), records, config(without=part), overrides=[f"without={part}"])
    figure = draw(find_runs([tmp_path]), x="without", ys=["speed/decode", "accept/draft_length"])
    labels = figure.axes[1].get_xticklabels()
    assert [label.get_text() for label in labels] == parts
    assert {label.get_rotation() for label in labels} == {30.0}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_file(sweep: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    file = sweep / "figures" / f"speed.{ending}"
    assert plot.main([str(sweep), "--x", "ratio", "--y", "speed/decode", "--out", str(file)]) == 0
    assert capsys.readouterr().out.strip() == str(file)
    assert file.stat().st_size > 1000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["--x", "ratio", "--y", "relevance/auc"],
            "--y: must be a metric that one of these runs has, got 'relevance/auc'",
        ),
        (["--x", "ratio", "--y", "fast"], "--y: must be metrics (docs/metrics.md), got 'fast'"),
        (
            ["--x", "ratio", "--y", "speed/decod"],
            "--y: must be metrics (docs/metrics.md), got 'speed/decod' (did you mean speed/decode?)",
        ),
        (
            ["--x", "speed/decod", "--y", "speed/decode"],
            "--x: must be a dial of these runs or a metric (did you mean speed/decode?), got 'speed/decod'",
        ),
        (
            ["--x", "raito", "--y", "speed/decode"],
            "--x: must be a dial of these runs or a metric (did you mean ratio?)",
        ),
        (["--x", "ratio", "--y", "speed/decode", "--by", "x"], "--by: must be a dial of these runs, got 'x'"),
    ],
)
def test_what_no_run_has_is_refused(
    sweep: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    assert plot.main([str(sweep), *given]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
