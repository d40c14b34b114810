"""`vsd dashboard`: every question has its section, every name is a metric's, every panel serialises, every fault is one
line. Nothing here needs a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from vsd.commands import dashboard
from vsd.metrics import metric_of
from vsd.run.tracking.panels import CLIP, KEPT

pytest.importorskip("wandb_workspaces", reason="comes with vsd[dashboard]")

from vsd.commands.dashboard import pages, questions

ROOT = Path(__file__).resolve().parents[2]
PLACE = "somebody/vsd"
QUESTIONS = (
    "Which setting is fastest?",
    "What does looseness cost?",
    "Where does the time go?",
    "How far are drafts accepted?",
    "Which tokens were kept?",
    "Is it exact?",
)
PANELS = {
    "Scatter Plot",
    "Bar Chart",
    "Parallel Coordinates Plot",
    "Parameter Importance",
    "Run History Line Plot",
    "Vega2",
    "Media Browser",
    "Weave",
}


@pytest.fixture(params=["workspace", "report"])
def page(request: pytest.FixtureRequest) -> Any:
    """As it would be saved."""
    return pages.as_json(getattr(pages, request.param)("somebody", "vsd", "a page"))


def words(value: Any) -> Iterator[str]:
    """All keys and texts."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
    elif isinstance(value, str):
        yield value


def view_types(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "viewType" in value:
            yield value["viewType"]
        for inner in value.values():
            yield from view_types(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from view_types(inner)


def test_every_question_is_asked(page: Any) -> None:
    said = list(words(page))
    assert [word for word in dict.fromkeys(said) if word in QUESTIONS] == list(QUESTIONS)
    assert {"somebody", "vsd", "a page"} <= set(said)


def test_every_kind_of_panel_is_there(page: Any) -> None:
    assert set(view_types(page)) >= PANELS
    assert len(list(view_types(page))) >= sum(len(question.panels) for question in questions.questions())


def test_every_name_is_a_metric_s(page: Any) -> None:
    found = {name for word in words(page) for name in re.findall(r"^(?:summary(?:_metrics\.|:))?([a-z]+/\w+)$", word)}
    found -= {CLIP, KEPT}
    assert len(found) > 25
    assert [name for name in found if metric_of(name) is None] == []


def test_every_dial_is_in_the_config() -> None:
    config = OmegaConf.load(ROOT / "conf" / "config.yaml")
    groups = {key for entry in config.defaults if OmegaConf.is_config(entry) for key in entry}
    assert set(questions.DIALS) <= {*map(str, config), *groups}


def test_labels_and_directions_are_the_metrics_own() -> None:
    assert questions.titled("parallel/wasted") == "wasted drafts (lower is better)"
    assert questions.titled("prune/kept") == "visual tokens, draft"
    with pytest.raises(KeyError, match="speed/of_light"):
        questions.titled("speed/of_light")


def test_what_is_better_is_up() -> None:
    model = pages.as_json(pages.workspace("a", "b", "c"))
    (plot,) = [panel for panel in panels(model) if panel["viewType"] == "Parallel Coordinates Plot"]
    columns = {each["accessor"]: each for each in plot["config"]["columns"]}
    assert columns["config:pruner.value"]["displayName"] == "pruner"
    assert columns["summary:speed/decode"]["displayName"] == "speed-up, decoding"
    assert not any(each.get("inverted") for each in columns.values())


def panels(model: Any) -> list[dict[str, Any]]:
    return [panel for each in model["spec"]["section"]["panelBankConfig"]["sections"] for panel in each["panels"]]


@pytest.mark.parametrize("kind", [[], ["--report"]])
def test_it_is_shown_without_a_server(
    kind: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "has_login", lambda: pytest.fail("asked for a login"))
    assert dashboard.main([PLACE, *kind, "--print", "--json", str(tmp_path / "page.json")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "somebody/vsd: vsd"
    assert set(QUESTIONS) <= set(said)
    assert said[-1] == str(tmp_path / "page.json")
    assert "Is it exact?" in words(json.loads((tmp_path / "page.json").read_text()))


def test_it_is_saved_and_its_address_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")
    saved = []
    monkeypatch.setattr(dashboard, "has_login", lambda: True)
    monkeypatch.setattr(dashboard, "answers", lambda address: True)
    monkeypatch.setattr(workspaces.Workspace, "save", lambda self: saved.append(self))
    monkeypatch.setattr(workspaces.Workspace, "url", "https://server/somebody/vsd")
    assert dashboard.main([PLACE, "--name", "ours"]) == 0
    assert [(page.entity, page.project, page.name) for page in saved] == [("somebody", "vsd", "ours")]
    assert capsys.readouterr().out == "https://server/somebody/vsd\n"


def test_whatever_the_server_says_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")

    def refuse(self: Any) -> None:
        raise ConnectionError("no route\nto the host")

    monkeypatch.setattr(dashboard, "has_login", lambda: True)
    monkeypatch.setattr(dashboard, "answers", lambda address: True)
    monkeypatch.setattr(workspaces.Workspace, "save", refuse)
    assert dashboard.main([PLACE]) == 1
    assert capsys.readouterr().err == "error: somebody/vsd: could not be saved: ConnectionError: no route\n"


def test_a_server_that_is_down_is_said_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "has_login", lambda: True)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    assert dashboard.main([PLACE]) == 1
    assert time.monotonic() - began < 10
    said = "error: somebody/vsd: could not be saved: http://127.0.0.1:9 does not answer\n"
    assert capsys.readouterr().err == said


def test_every_panel_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard.main([PLACE, "--print"]) == 0
    said = capsys.readouterr().out
    kinds = {type(panel).__name__ for question in questions.questions() for panel in question.panels}
    assert [kind for kind in kinds if kind in said] == []
    assert "- Speed-up (higher is better): a bar a run, of speed-up, decoding; speed-up, end to end;" in said
    for question in questions.questions():
        assert question.answer in " ".join(said.split())
    assert said.count("  - ") == sum(len(question.panels) for question in questions.questions())


def test_a_reader_that_has_enough_is_no_fault() -> None:
    script = f"set -o pipefail; {sys.executable} -m vsd dashboard {PLACE} --print | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["vsd"], "ENTITY/PROJECT: must be two names with a slash between them, got 'vsd'"),
        (["a/b/c"], "ENTITY/PROJECT: must be two names with a slash between them, got 'a/b/c'"),
        ([PLACE], "wandb login: must be done before a page is saved (or WANDB_API_KEY set), got no login"),
        ([PLACE, "--json", "."], "--json: must be a file, got the folder '.'"),
        (
            [PLACE, "--json", "/proc/none/page.json"],
            "/proc/none/page.json: must be written, got No such file or directory",
        ),
    ],
)
def test_mistakes_are_one_line(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "has_login", lambda: False)
    assert dashboard.main(given) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_without_the_package_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    assert dashboard.main([PLACE, "--print"]) == 2
    assert 'pip install ".[dashboard]"' in capsys.readouterr().err
