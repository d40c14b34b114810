"""Whether a checkpoint's weights are those of its model, and how many bytes they take: by names and shapes alone.

transformers loads a checkpoint with missing weights too, and fills in random ones. So its own loader is run first on
tensors without values, which renames the weights of older layouts as it does later, and is asked what did not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging

from vsd.models.config import attention_package, hollow_model, quantised
from vsd.models.families import FAMILIES
from vsd.models.files import read_headers, weight_files

_SHOWN = 3


def check_weights(folder: Path, config: Any, *, field: str) -> None:
    """Raise ValueError unless the folder holds exactly the weights of its model, in their shapes. None of them is read.

    Tied heads may be missing; buffers that transformers computes may be missing or there. A quantised checkpoint is
    only looked at for files that are missing or damaged: its weights have names of its method's own.
    """
    headers = read_headers(weight_files(folder, field=field), field=field)
    if quantised(config):
        hollow_model(config, dtype=torch.float32, name=str(folder), field=field)
        return
    with attention_package(config, name=str(folder), field=field):
        report = _loaded_hollow(config, headers)
    check_report(report, name=str(folder), field=field)


def check_report(report: Mapping[str, Any], *, name: str, field: str) -> None:
    """Raise ValueError if transformers' loading info names weights that are missing, left over or of another shape."""
    shapes = {key: (tuple(theirs), tuple(ours)) for key, theirs, ours in report["mismatched_keys"]}
    missing, unexpected = (sorted(report[kind]) for kind in ("missing_keys", "unexpected_keys"))
    faults = [
        _fault("missing", [key for key in missing if key not in shapes]),
        _fault("unexpected", unexpected),
        _fault("of another shape", [f"{key} {theirs} for {ours}" for key, (theirs, ours) in sorted(shapes.items())]),
    ]
    if any(faults):
        rule = "the weights of a checkpoint must be those of its model"
        raise ValueError(f"{field}.path: {rule}, got {'; '.join(filter(None, faults))} in {name!r}")


def _fault(what: str, names: list[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} {what} ({shown})" if names else ""


def _loaded_hollow(config: Any, headers: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """What transformers' loader says of weights with these names and shapes."""
    model_class = FAMILIES[config.model_type][1]
    with _silent():
        loaded = model_class.from_pretrained(
            None,
            config=config,
            state_dict=dict(headers),
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    report: Mapping[str, Any] = loaded[1]
    return report


@contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' report and progress bar of a loading that is none."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with without_bar():
            yield
    finally:
        logging.set_verbosity(verbosity)


@contextmanager
def without_bar() -> Iterator[None]:
    """Without transformers' progress bar."""
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


def is_short(folder: Path, *, field: str) -> bool:
    """Whether these weights are read in seconds."""
    return sum(file.stat().st_size for file in weight_files(folder, field=field)) < _SHORT


_SHORT = 2**30
