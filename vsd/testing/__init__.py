"""Contracts of the methods: what holds for every pruner, drafter, verifier and schedule, as tests of pytest.

A test file of three lines puts them to all options of a folder like conf/:

    from vsd.testing import parametrize_with_contract

    @parametrize_with_contract("conf")
    def test_contract(check):
        check()

Nothing of the product imports this package.
"""

from vsd.testing.contract import checks_of, parametrize_with_contract

__all__ = ["checks_of", "parametrize_with_contract"]
