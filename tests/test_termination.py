"""Signals that ask for the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from vsd.utils import termination
from vsd.utils.termination import Terminated, listening


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_signal_is_raised_and_others_wait_until_it_has_ended() -> None:
    with listening(signal.SIGTERM):
        with pytest.raises(Terminated, match="SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # while it ends
        assert termination.received() is signal.SIGTERM


def test_one_that_is_lost_in_a_destructor_does_not_make_it_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "AGAIN_S", 0.0)
    monkeypatch.setattr("sys.unraisablehook", lambda lost: None)

    class Closing:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with listening(signal.SIGTERM):
        closing = Closing()
        del closing
        assert termination.received() is signal.SIGTERM
        with pytest.raises(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
