"""What ``--help`` says: every group with its options and every dial, in the words of the comments in conf/."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from omegaconf import OmegaConf

_DIAL = re.compile(r"(?P<indent> *)(?P<name>[\w.]+): *(?P<value>.*?)(?: *# (?P<text>.*))?")
_WIDTH, _NAME = 110, 28
_HIDDEN = frozenset({"defaults", "hydra"})


def register(conf: Path, commands: Mapping[str, str]) -> None:
    """Lets the YAML files say ``${help_text:}`` for the help of these commands and of this folder's options."""
    # Hydra takes it as a string.Template.
    OmegaConf.register_new_resolver("help_text", lambda: text(conf, commands).replace("$", "$$"), replace=True)


def text(conf: Path, commands: Mapping[str, str]) -> str:
    """The whole help."""
    lines = [
        "Speculative decoding of video language models: vsd OVERRIDE ... runs, vsd COMMAND ... does something else.",
        "",
        "  vsd                                        one run of the defaults, over all 48 bundled clips",
        "  vsd pruner=hippo ratio=0.9                 HIPPO's pruning in it (python run.py in a checkout)",
        "  vsd experiment=hippo                       HIPPO as a whole",
        "  vsd -m pruner=none,hippo ratio=0.5,0.9     several",
        "  vsd -m experiment=ablation/hippo           a sweep that an experiment brings along",
        "  vsd COMMAND --help                         what a command takes",
        "",
        "Commands",
        *(_entry(name, does) for name, does in commands.items()),
        "",
        "Groups (GROUP=OPTION; the fields of an option are GROUP.FIELD=VALUE)",
    ]
    for folder in sorted(path for path in conf.iterdir() if path.is_dir() and path.name != "hydra"):
        lines += [f"  {folder.name}", *(_entry(f"  {name}", first_sentence(file)) for name, file in options(folder))]
    lines += ["", "Dials (DIAL=VALUE)", *(_entry(*dial) for dial in dials(conf / "config.yaml"))]
    lines += ["", "Dials of a model alone (target.DIAL=VALUE, draft.DIAL=VALUE)"]
    lines += [_entry(name, text) for name, text in dials(conf / "model.yaml") if text]
    return "\n".join([*lines, "", "The fields of an option stand in conf/GROUP/OPTION.yaml.", ""])


def options(folder: Path) -> list[tuple[str, Path]]:
    """A group's options by name, with their files; those of folders in it come behind the others."""
    named = ((file.relative_to(folder).with_suffix("").as_posix(), file) for file in folder.rglob("*.yaml"))
    return sorted(named, key=lambda option: (option[0].count("/"), option[0]))


def first_sentence(file: Path) -> str:
    """The first sentence of the comment that a file begins with; empty where there is none."""
    comments = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    comment = " ".join(line for line in comments if not line.startswith("@package"))
    return re.split(r"(?<=\.) (?=[A-Z])", comment, maxsplit=1)[0]


def dials(file: Path) -> Iterator[tuple[str, str]]:
    """Every dial with its value, and its comment; those of a section stand behind its name."""
    section = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        dial = _DIAL.fullmatch(line)
        if dial is None or dial["name"] == "_target_":
            continue
        section = section if dial["indent"] else dial["name"]
        if section not in _HIDDEN:
            name = f"{section}.{dial['name']}" if dial["indent"] else dial["name"]
            yield f"{name}={dial['value']}" if dial["value"] else name, dial["text"] or ""


def _entry(name: str, text: str) -> str:
    """A name and, in a column of its own, the text about it."""
    lines = textwrap.wrap(text, _WIDTH - _NAME - 2) or [""]
    head = f"  {name}".ljust(_NAME + 2) if len(name) < _NAME else f"  {name}\n{'':{_NAME + 2}}"
    return head + f"\n{'':{_NAME + 2}}".join(lines)
