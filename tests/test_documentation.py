"""What the documentation says can be done: commands compose, links lead somewhere, the Python snippet runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from vsd import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "experiments").rglob("*.md"))
RUNS = ("vsd", "python run.py", "torchrun")
OF_RAY = re.compile(r"hydra/launcher=ray|hydra\.launcher\.ray\.")  # whose fields the plugin brings, if it is installed


def commands() -> Iterator[tuple[str, str]]:
    """Each page's lines of shell, joined where one goes on, without remarks."""
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.S):
            for line in block.replace("\\\n", " ").splitlines():
                words = re.sub(r"(^|\s)#.*", "", line).strip()
                if words:
                    yield str(page.relative_to(ROOT)), words


COMMANDS = list(commands())
OURS = [(page, line) for page, line in COMMANDS if line.startswith(RUNS) and "$" not in line]
MODULES = [(page, line) for page, line in COMMANDS if "python -m " in line]


def overrides_of(line: str) -> list[str]:
    """The overrides of a run; of a sweep those of its first job."""
    words = shlex.split(line)
    given = [word for word in words if "=" in word and not word.startswith("-")]
    found = []
    for override in OverridesParser.create().parse_overrides(given):
        if override.is_sweep_override() and not override.is_interval_sweep():
            value = next(iter(override.sweep_string_iterator()))
            found.append(f"{override.key_or_group}={value}")
        elif not override.is_sweep_override():
            found.append(str(override.input_line))
    return found


def test_there_is_something_to_check() -> None:
    assert len(OURS) > 12
    assert len(MODULES) > 10


@pytest.mark.parametrize(("page", "line"), OURS, ids=[line[:60] for _, line in OURS])
def test_a_run_composes(page: str, line: str) -> None:
    words = shlex.split(line)
    command = words[1] if words[0] == "vsd" and len(words) > 1 else ""
    if command in cli.COMMANDS and command != "study":
        return
    with initialize_config_dir(str(cli.CONF), version_base="1.3"):
        cfg = compose("config", overrides=[each for each in overrides_of(line) if not OF_RAY.match(each)])
    assert cfg.target.path


@pytest.mark.parametrize(("page", "line"), MODULES, ids=[line[:60] for _, line in MODULES])
def test_a_module_is_there(page: str, line: str) -> None:
    for name in re.findall(r"python -m ([\w.]+)", line):
        assert name in ("pytest", "venv", "pip") or importlib.util.find_spec(name) is not None, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_page_is_on_the_first_one() -> None:
    first = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"({page.name})" not in first] == [
        "README.md"
    ]


def test_links_to_a_heading_of_a_page_find_it() -> None:
    def anchors(page: Path) -> set[str]:
        heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
        return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}

    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*\.md)#([^)]*)\)", page.read_text()):
            if not target.startswith("http"):
                assert anchor in anchors(page.parent / target), f"{page.name}: {target}#{anchor}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 1000


def test_the_readmes_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(snippet, "README.md", "exec"), {})
    assert re.search(r"\d+ rounds$", capsys.readouterr().out.strip())
