"""One option of a group, as a YAML file has it."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vsd.cli import CONF


@dataclass(frozen=True, kw_only=True)
class Option:
    """The file `name`.yaml of a group's folder in `conf`; `overrides` are a command line's that its fields need."""

    group: str
    name: str
    conf: Path
    overrides: tuple[str, ...] = ()

    def method(self, *dials: str) -> Any:
        """The method as a run with these dials has it."""
        return instantiate(self.config(*dials))

    def config(self, *dials: str) -> DictConfig:
        """Its part of the config of a run with these dials."""
        return composed(self.conf, self.group, self.name, *self.overrides, *dials)

    def takes(self, dial: str) -> bool:
        """Whether its YAML refers to a dial."""
        return f"${{{dial}}}" in str(OmegaConf.to_container(self.config(), resolve=False))


@cache
def composed(conf: Path, group: str, name: str, *overrides: str) -> DictConfig:
    elsewhere = [] if conf.resolve() == CONF.resolve() else [f"hydra.searchpath=[file://{conf.resolve()}]"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: DictConfig = compose("config", overrides=[*elsewhere, f"{group}={name}", *overrides])[group]
    return config


def options(conf: Path, group: str) -> list[str]:
    """The names of a group's options in a folder of YAMLs."""
    return sorted(file.stem for file in (conf / group).glob("*.yaml"))


def fields_stand_in_the_yaml(option: Option) -> None:
    """Each field of the class stands in the YAML, so that a config says all that a run follows from."""
    target = option.config()["_target_"]
    kind = type(option.method())
    written = set(option.config()) - {"_target_"}
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    missing = known - written - ({"ratio"} if option.group == "pruner" and not option.takes("ratio") else set())
    assert not missing, f"{option.name}.yaml: must name each field of {target}, got none of {sorted(missing)}"


def has_a_text(option: Option) -> None:
    """The class says what it does, for the table of methods."""
    kind = type(option.method())
    text = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    missing = not kind.__dict__.get("__doc__") or text.startswith(f"{kind.__name__}(")  # which dataclass writes
    assert not missing, f"{kind.__name__}: its docstring must say what it does, got none"
    assert "." in text, f"{kind.__name__}: its docstring must begin with a sentence, got {text!r}"


def is_config_alone(option: Option) -> None:
    """The class is a frozen dataclass: equal fields make equal methods, and none of them changes."""
    one, other = option.method(), option.method()
    frozen = getattr(getattr(one, "__dataclass_params__", None), "frozen", False)
    assert frozen, f"{type(one).__name__}: must be a frozen dataclass, got one that can change"
    assert one == other, f"{type(one).__name__}: must be equal for equal fields, got {one!r} and {other!r}"


def mistyped_fields_are_refused(option: Option) -> None:
    """A field with something of another type in it is refused with a ValueError when the method is made, which is
    before any weight is loaded."""
    config: Any = OmegaConf.to_container(option.config(), resolve=True)
    for name, value in config.items():
        if name == "_target_" or (isinstance(value, dict) and "_target_" in value):
            continue
        wrong: list[Any] = [{"no": "number"}, *(["no number"] if isinstance(value, (int, float)) else [])]
        for each in wrong:
            try:
                instantiate({**config, name: each})
            except InstantiationException as error:
                refused = isinstance(error.__cause__, ValueError)
            else:
                refused = False
            rule = f"{option.group}.{name}: must be refused with a ValueError (see vsd.utils.validation)"
            assert refused, f"{rule} where it is {each!r}"


CHECKS = (fields_stand_in_the_yaml, has_a_text, is_config_alone, mistyped_fields_are_refused)
