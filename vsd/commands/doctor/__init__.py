"""A smoke test of this machine: does what vsd relies on hold here? Run it with ``vsd doctor``."""
