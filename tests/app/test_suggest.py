"""A word that nothing is called is refused in one line that says what was probably meant."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vsd import cli
from vsd.run.suggest import unknown_word


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gama=3"], "gama: must be a dial or a group (did you mean gamma?), got 'gama=3'"),
        (["-m", "prunner=hippo"], "prunner: must be a dial or a group (did you mean pruner?), got 'prunner=hippo'"),
        (["ratio=0.9", "tagret.dtype=x"], "tagret: must be a dial or a group (did you mean target?), got"),
        (["zzz=1"], "zzz: must be a dial or a group, got 'zzz=1'"),
        (["repot"], "repot: must be a command, or DIAL=VALUE (did you mean report?)"),
        (["ratio=0.9", "hippo"], "hippo: must be DIAL=VALUE"),
        (
            ["data.question=What's seen?"],
            "data.question: must be a word, or text in quotes of its own: 'data.question=\"What'\"'\"'s seen?\"', got",
        ),
        (["experiment=hipo"], "experiment: must be one of conf/experiment (did you mean hippo?), got 'hipo'"),
        (
            ["-m", "experiment=ablation/hipo"],
            "experiment: must be one of conf/experiment (did you mean ablation/hippo?)",
        ),
        (["-m", "pruner=random,hipo"], "pruner: must be one of conf/pruner (did you mean hippo?), got 'hipo'"),
        (
            ["study", "--maximize", "speed/decode", "experiment=hipo", "ratio=0.5,0.9"],
            "experiment: must be one of conf/",
        ),
        (
            ["tune", "--goal", "speed/decode", "targt=tiny_llava"],
            "targt: must be a dial or a group (did you mean target?)",
        ),
        (["-m", "pruner=glob(x*)"], "pruner: must match one of conf/pruner, got 'pruner=glob(x*)'"),
        (["target@draft=tiny_qwem"], "target: must be one of conf/target (did you mean tiny_qwen?), got 'tiny_qwem'"),
        (["callbacks=[quiet,lowd]"], "callbacks: must be one of default, quiet, got 'lowd'"),
        (["-m", "hydra/launcher=slrum"], "hydra/launcher: must be one of basic, local, "),
        (
            ["-m", "experiment=ablation/hippo,ablation/specvlm"],
            "experiment: must be one, where it brings values to sweep, got 'ablation/hippo,ablation/specvlm'",
        ),
        (["pruner.ratioo=1"], "pruner.ratioo: must be a field of pruner=specvlm (ratio, p) (did you mean ratio?), got"),
        (
            ["-m", "pruner=hippo,none", "pruner.weight_globl=1"],
            "pruner.weight_globl: must be a field of pruner=hippo (",
        ),
        (["logger.project=x"], "logger.project: must be a field of logger=none, which has none, got 'project'"),
        (
            ["relevance.topn=1"],
            "relevance.topn: must be a field of relevance (top_n, layer, always) (did you mean top_n?)",
        ),
    ],
)
def test_a_wrong_word(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_the_quotes_that_are_advised_are_read() -> None:
    advised = unknown_word(['data.question=Who said "it\'s"?'], cli.CONF, cli.COMMANDS)
    words = shlex.split(advised.partition("of its own: ")[2].rpartition(", got ")[0])
    assert OverridesParser.create().parse_override(words[0]).value() == 'Who said "it\'s"?'


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["-m", "pruner=hippo,random", "ratio=0.5", "target.dtype=float64", "video.reader=pyav", "relevance.top_n=1"],
        ["hydra/launcher=slurm", "hydra.sweep.dir=x", "+new=1", "~logger", "++gamma=3", "data.ask=[one,two]"],
        ["--cfg", "job", "experiment=hippo", "target@draft=tiny_qwen"],
        ["--info", "config", "ratio=0.5"],
        ["--config-dir", "mine", "mygroup=x"],
        ["-sc", "install=bash"],
        ["hydra.searchpath=[file://mine]", "pruner=mine", "pruner.field=1"],
        ["-m", "hydra/launcher=basic", "pruner=glob(h*)", "experiment=hippo,specvlm", "callbacks=[default,quiet]"],
        ["experiment=null", "data=folder", "data.path=x", "draft=self", "draft.dtype=float64"],
        ["-m", "pruner=none,hippo", "+pruner.new=1", "pruner.new=3"],
        ["draft=${target}"],
    ],
)
def test_right_words(words: list[str]) -> None:
    assert not unknown_word(words, cli.CONF, cli.COMMANDS)


@pytest.mark.parametrize("launcher", ["slurm", "local", "ray"])
def test_a_launcher_without_m_is_refused(launcher: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([f"hydra/launcher={launcher}", "ratio=0.5"]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == f"error: hydra/launcher: must be given with -m (it starts the jobs of a sweep), got {launcher} without\n"
    )


@pytest.mark.parametrize("words", [["hydra/launcher=basic"], ["hydra/launcher=slurm", "--cfg", "job"], ["-m"]])
def test_other_commands_are_not(words: list[str]) -> None:
    assert not cli._launcher(words)
