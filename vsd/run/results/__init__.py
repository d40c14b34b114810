"""Finished runs, read back: one after the other, pooled, compared, drawn, as tables."""

from vsd.run.results.run import Run, find_runs, load_run
from vsd.run.results.runs import Runs, load_runs

__all__ = ["Run", "Runs", "find_runs", "load_run", "load_runs"]
