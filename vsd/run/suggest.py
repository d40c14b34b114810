"""A word of the command line that names no dial, group, option or field, and what was probably meant."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

_OWN = ("hydra",)
_TAKES_A_VALUE = ("-c", "--cfg", "-p", "--package", "-i", "--info", "--experimental-rerun")
_ELSEWHERE = ("-cd", "--config-dir", "-cp", "--config-path", "-cn", "--config-name", "-sc", "--shell-completion")
_SEARCHPATH = "hydra.searchpath"
_SWEPT = "hydra.sweeper.params"


def unknown_word(arguments: Sequence[str], conf: Path, commands: Iterable[str]) -> str:
    """What is wrong with the first of these words that is no command, flag, dial, group, option of a group or field of
    an option; empty if all are. What is added with + or taken away with ~ is left to Hydra."""
    if any(word.split("=")[0] in _ELSEWHERE for word in arguments):
        return ""  # another folder's options and dials are not known here
    groups = [path.name for path in conf.iterdir() if path.is_dir()]
    dials = [str(name) for name in OmegaConf.load(conf / "config.yaml") if name != "defaults"]
    words = list[str]()
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
        words.append(word)
    if any(word.startswith(_SEARCHPATH) for word in words):
        return ""
    parsed = OverridesParser.create().parse_overrides(words)
    choices = [each for each in parsed if each.key_or_group in groups or "/" in each.key_or_group]
    several = {"-m", "--multirun"} & set(arguments)
    wrong = next((said for each in choices if (said := _unknown_option(each, conf))), "")
    wrong = wrong or (_swept_twice(choices, conf) if several else "")
    changed = [word for word in arguments if word.startswith(("+", "~"))]
    return wrong or _unknown_field(parsed, choices, changed, conf)


def _options(choice: Override) -> list[str]:
    """The options that an override of a group names; none of those that only Hydra can tell."""
    value = choice.value()
    listed = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    return [str(each) for each in listed if each is not None and "${" not in str(each)]


def _unknown_option(choice: Override, conf: Path) -> str:
    """What is wrong with the first option that is neither in this folder nor in any that a plugin brings."""
    group = choice.key_or_group
    folder, value = conf / group, choice.value()
    if isinstance(value, Glob):
        names = [file.stem for file in folder.glob("*.yaml")] or _known(group, conf)
        return (
            ""
            if not names or value.filter(names)
            else f"{group}: must match one of conf/{group}, got {choice.input_line!r}"
        )
    for option in _options(choice):
        if (folder / f"{option}.yaml").is_file():
            continue
        known = _known(group, conf)
        if known and option not in known:
            meant = _meant(option, known)
            among = f"conf/{group}" if meant and not group.startswith(_OWN) else ", ".join(known)
            return f"{group}: must be one of {among}{meant}, got {option!r}"
    return ""


def _known(group: str, conf: Path) -> list[str]:
    """All options of a group, those that plugins bring too; those of folders in it stand behind their folder."""
    with initialize_config_dir(str(conf), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        inner = [
            f"{each}/{name}"
            for each in loader.list_groups(group)
            for name in loader.get_group_options(f"{group}/{each}")
        ]
        return [*loader.get_group_options(group), *inner]


def _swept_twice(choices: Sequence[Override], conf: Path) -> str:
    """That a multirun names several experiments, of which one brings values to sweep: Hydra would leave them out."""
    for choice in choices:
        options = _options(choice)
        if choice.key_or_group != "experiment" or len(options) < 2:
            continue
        files = [conf / "experiment" / f"{option}.yaml" for option in options]
        if any(file.is_file() and OmegaConf.select(OmegaConf.load(file), _SWEPT) for file in files):
            return (
                f"experiment: must be one, where it brings values to sweep, got {','.join(options)!r} (a command each)"
            )
    return ""


def _unknown_field(parsed: Sequence[Override], choices: Sequence[Override], changed: Sequence[str], conf: Path) -> str:
    """What is wrong with the first of these overrides that sets a field which the chosen option does not have; of
    options that are swept, the first."""
    fields = [each for each in parsed if "." in each.key_or_group and not each.key_or_group.startswith(_OWN)]
    if not fields or any(isinstance(each.value(), Glob) for each in choices):
        return ""
    chosen = [
        f"{each.get_key_element()}={_options(each)[0]}"
        if each.is_sweep_override() and _options(each)
        else str(each.input_line)
        for each in choices
        if not each.key_or_group.startswith(_OWN)
    ]
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            cfg = compose("config", overrides=[*chosen, *changed], return_hydra_config=True)
    except (HydraException, ValueError):  # Hydra says it
        return ""
    picked = cfg.hydra.runtime.choices
    for field in fields:
        node, names = cfg, field.key_or_group.split(".")
        for depth, name in enumerate(names):
            above = ".".join(names[:depth])
            if depth and name not in node.keys():  # noqa: SIM118, one without a value is there
                known = [str(key) for key in node if not str(key).startswith("_")]
                option = f"{above}={picked[above]}" if above in picked else above
                listed = f" ({', '.join(known)})" if known else ", which has none"
                return f"{field.key_or_group}: must be a field of {option}{listed}{_meant(name, known)}, got {name!r}"
            below = node._get_node(name)
            if (
                not isinstance(below, DictConfig)
                or below._is_none()
                or below._is_interpolation()
                or below._is_missing()
            ):
                break
            node = below
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
