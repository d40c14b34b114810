"""The contract of each group, put to every option of conf/: a new one is covered by being there."""

from __future__ import annotations

from collections.abc import Callable

from vsd.testing import parametrize_with_contract


@parametrize_with_contract()
def test_contract(check: Callable[[], None]) -> None:
    check()
