"""The command `vsd`: ``vsd pruner=hippo ratio=0.9`` is a run, ``vsd COMMAND ...`` one of the commands below.

Every option and dial of a run stands in conf/; ``vsd --help`` lists them.
"""

from __future__ import annotations

import importlib
import os
import select
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import hydra
from omegaconf import DictConfig

from vsd.run import app, help_text
from vsd.run.suggest import unknown_word

CONF = Path(__file__).parent / "conf"
"""The YAML files, beside the package in a checkout and inside it once it is installed."""


class Command(NamedTuple):
    """A module with a `main`, and what it does in a line."""

    module: str
    does: str


COMMANDS = {
    "runs": Command("vsd.commands.runs", "a table of runs: when, how they ended, what tells them apart"),
    "compare": Command(
        "vsd.commands.compare", "differences of runs on the same samples, and whether they are told apart"
    ),
    "plot": Command("vsd.commands.plot", "curves over a sweep, with error bars"),
    "show": Command("vsd.commands.show", "one sample: both texts, whose tokens they are, kept tokens on its frames"),
    "clean": Command("vsd.commands.clean", "removes runs without a finished sample, and half-written files"),
    "report": Command("vsd.commands.report", "finished runs again, without decoding: a screen, a table, or a page"),
    "upload": Command("vsd.commands.upload", "sends finished runs to Weights & Biases, again or for the first time"),
    "study": Command("vsd.commands.study", "searches dials for the best trade between metrics"),
    "tune": Command("vsd.commands.tune", "finds the fastest draft length, schedule, pruner and ratio here"),
    "simulate": Command("vsd.commands.simulate", "predicts speed-ups on machines that are not here"),
    "calibrate": Command("vsd.commands.calibrate", "finds the tokens that a draft needs"),
    "dashboard": Command("vsd.commands.dashboard", "a Weights & Biases page of a project, by questions"),
    "doctor": Command("vsd.commands.doctor.__main__", "tries on this machine what vsd relies on"),
    "catalogue": Command("vsd.commands.catalogue", "writes the tables of methods"),
}

OF_RUNS = ("study", "tune")
"""The commands that take the overrides of a run."""

# The launcher's package has a schema under the name of our settings for it, and they follow it.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/ray' is validated against ConfigStore schema")
help_text.register(CONF, {name: command.does for name, command in COMMANDS.items()})


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def run(cfg: DictConfig) -> dict[str, float] | None:
    """One job; in a multirun one of several."""
    return app.main(cfg)


def main(argv: Sequence[str] | None = None) -> int | None:
    """Does what the command line says; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        return 0
    return code


def _reader_has_gone() -> bool:
    """Whether nobody reads what this process prints, as behind `| head`; what is left to print is then dropped."""
    screen = select.poll()
    screen.register(sys.stdout.fileno(), 0)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in screen.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it is flushed once more at the very end
    return gone


def _main(arguments: list[str]) -> int | None:
    if arguments and arguments[0] in COMMANDS:
        given = [word for word in arguments[1:] if "=" in word and not word.startswith("-")]
        if arguments[0] in OF_RUNS and (wrong := unknown_word(given, CONF, ())):
            print(f"error: {wrong}", file=sys.stderr)
            return 2
        code: int | None = importlib.import_module(COMMANDS[arguments[0]].module).main(arguments[1:])
        return code
    words = arguments[1:] if arguments[:1] == ["run"] else arguments
    if wrong := unknown_word(words, CONF, COMMANDS):
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    multirun = bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(words))
    if (launcher := _launcher(words)) and not multirun:
        print(
            f"error: hydra/launcher: must be given with -m (it starts the jobs of a sweep), got {launcher} without",
            file=sys.stderr,
        )
        return 2
    if multirun:
        from vsd.run.cluster import plugin

        plugin.register()
    sys.argv = [sys.argv[0], *words]
    run()
    return None


def _launcher(words: Sequence[str]) -> str:
    """The launcher that jobs are to go through; empty for this process, or where nothing runs."""
    if {"-h", "--help", "--hydra-help", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion"} & set(words):
        return ""
    given = [word.partition("=")[2] for word in words if word.lstrip("+").startswith("hydra/launcher=")]
    return given[-1] if given and given[-1] != "basic" else ""


if __name__ == "__main__":
    sys.exit(main())
