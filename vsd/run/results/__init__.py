"""Finished runs, read back: one after the other, pooled, compared, drawn."""

from vsd.run.results.run import Run, find_runs, load_run

__all__ = ["Run", "find_runs", "load_run"]
