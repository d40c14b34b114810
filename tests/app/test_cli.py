"""The command `vsd`: runs, other commands, and a help that explains every group, option and dial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vsd import cli
from vsd.data.small_events import SmallEvents
from vsd.run import help_text

GROUPS = sorted(folder for folder in cli.CONF.iterdir() if folder.is_dir() and folder.name != "hydra")
OPTIONS = {f"{folder.name}={name}": file for folder in GROUPS for name, file in help_text.options(folder)}


def the_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["vsd"])
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_group_option_and_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.split() for line in the_help(capsys, monkeypatch).splitlines()]
    firsts = {line[0] for line in lines if line}
    assert {word for option in OPTIONS for word in option.split("=")} | cli.COMMANDS.keys() <= firsts
    assert {"ablation/hippo", "sweep/schedule"} <= firsts


@pytest.mark.parametrize("file", OPTIONS.values(), ids=OPTIONS)
def test_every_option_says_what_it_is(file: Path) -> None:
    sentence = help_text.first_sentence(file)
    assert len(sentence.split()) >= 2, "the file must begin with a comment that says what it is"


def test_every_dial_is_explained() -> None:
    config = OmegaConf.load(cli.CONF / "config.yaml")
    dials = {str(name) for name in config if name not in ("defaults", "hydra")}
    explained = dict(help_text.dials(cli.CONF / "config.yaml"))
    assert dials <= {name.partition("=")[0] for name in explained}
    assert [name for name, words in explained.items() if not words] == []


def test_a_dial_has_its_value_and_the_words_of_its_comment(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "defaults:\n  - _self_\n\nratio: 0.9 # what goes\n\nvideo: # how files are read\n  reader: auto # which\n"
    )
    assert list(help_text.dials(file)) == [
        ("ratio=0.9", "what goes"),
        ("video", "how files are read"),
        ("video.reader=auto", "which"),
    ]


def test_it_is_said_what_runs_without_a_word() -> None:
    count = len(SmallEvents().samples())
    assert f"\n  vsd   {'':37}one run of the defaults, over all {count} bundled clips\n" in help_text.text(cli.CONF, {})


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: vsd {name}")


def test_the_yaml_files_are_where_the_package_is() -> None:
    assert (cli.CONF / "config.yaml").is_file()
    assert cli.CONF.parent == Path(cli.__file__).parent


@pytest.mark.parametrize("words", ["--help", "runs --help"])
def test_a_reader_that_has_enough_is_no_fault(words: str) -> None:
    script = f"set -o pipefail; {sys.executable} -m vsd {words} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
