"""A word of the command line that nothing is called, and what was probably meant."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

_OWN = ("hydra",)
_TAKES_A_VALUE = ("-c", "--cfg", "-p", "--package", "-i", "--info", "--experimental-rerun")
_ELSEWHERE = ("-cd", "--config-dir", "-cp", "--config-path", "-cn", "--config-name", "-sc", "--shell-completion")


def unknown_word(arguments: Sequence[str], conf: Path, commands: Iterable[str]) -> str:
    """What is wrong with the first of these words that is no command, flag, dial or group; empty if all are. Fields of
    options, and what is added with + or taken away with ~, are left to Hydra."""
    if any(word.split("=")[0] in _ELSEWHERE for word in arguments):
        return ""  # another folder's options and dials are not known here
    groups = [path.name for path in conf.iterdir() if path.is_dir()]
    dials = [str(name) for name in OmegaConf.load(conf / "config.yaml") if name != "defaults"]
    for number, word in enumerate(arguments):
        if word.startswith(("-", "+", "~")) or (number and arguments[number - 1] in _TAKES_A_VALUE):
            continue
        name, equals, _ = word.partition("=")
        if not equals:
            rule = "must be a command, or DIAL=VALUE" if not number else "must be DIAL=VALUE"
            return f"{word}: {rule}{_meant(word, [*commands] if not number else [])}"
        top = name.partition(".")[0].partition("@")[0].partition("/")[0]
        if top not in (*groups, *dials, *_OWN):
            return f"{top}: must be a dial or a group{_meant(top, [*dials, *groups])}, got {word!r}"
        if wrong := _unreadable(word):
            return wrong
    return ""


def _unreadable(word: str) -> str:
    """What is wrong with an override that Hydra's grammar has no reading for, such as text with an apostrophe."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        name, _, value = word.partition("=")
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        quoted = shlex.quote(f'{name}="{text}"')
        return f"{name}: must be a word, or text in quotes of its own: {quoted}, got {value!r}"
    return ""


def _meant(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""
