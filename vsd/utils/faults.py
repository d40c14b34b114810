"""Whose fault an error is: one sample's, one metric's, or the whole run's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from vsd.types import SampleError
from vsd.utils.validation import reason

log = logging.getLogger(__name__)

# A device without room, or one that is lost, is no sample's fault.
_OF_THE_DEVICE = (torch.OutOfMemoryError, torch.AcceleratorError)


@contextmanager
def of_sample(step: str) -> Iterator[None]:
    """What is raised inside is this sample's fault: a SampleError that names the step and the reason."""
    try:
        yield
    except (SampleError, *_OF_THE_DEVICE):
        raise
    except Exception as error:
        raise SampleError(f"{step}: {reason(error)}") from error


@contextmanager
def left_out(what: str) -> Iterator[None]:
    """What is raised inside costs no more than this number: a warning names it. What is undefined (a division by zero)
    is no fault."""
    try:
        yield
    except ZeroDivisionError:
        pass
    except Exception as error:
        warn_once(f"{what} is left out: {reason(error)}")


@cache
def warn_once(text: str) -> None:
    """Log a warning; `warn_once.cache_clear` lets the next one of this text through."""
    log.warning(text)
