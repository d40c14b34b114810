"""Several runs as one: their tables, with the dials in front that tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsd.run.results.dials import varying
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, find_runs

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Their tables. In front of each stand `run`, its folder, and a column for each dial whose value differs between
    them; one that has the name of another column is called "NAME (dial)"."""

    runs: tuple[Run, ...]

    @cached_property
    def samples(self) -> DataFrame:
        """A row a sample of a run."""
        return self._together(lambda run: run.samples)

    @cached_property
    def rounds(self) -> DataFrame:
        """A row a round."""
        return self._together(lambda run: run.rounds)

    @cached_property
    def tokens(self) -> DataFrame:
        """A row a token."""
        return self._together(lambda run: run.tokens)

    @cached_property
    def metrics(self) -> DataFrame:
        """A row a run: when it began (UTC), how it ended, and what metrics.json holds."""
        import pandas as pd

        rows = [
            {"time": run.time, "state": run.state, "error": run.error or None, **run.summary.flat()}
            for run in self.runs
        ]
        return self._with_dials(pd.DataFrame(rows), [1] * len(rows))

    def _together(self, table: Callable[[Run], DataFrame]) -> DataFrame:
        import pandas as pd

        tables = [table(run) for run in self.runs]
        return self._with_dials(pd.concat(tables, ignore_index=True), [len(each) for each in tables])

    def _with_dials(self, table: DataFrame, lengths: Sequence[int]) -> DataFrame:
        columns: dict[str, list[Any]] = {"run": [str(run.folder) for run in self.runs], **varying(self.runs)}
        for place, (name, values) in enumerate(columns.items()):
            spread = [value for value, length in zip(values, lengths, strict=True) for _ in range(length)]
            table.insert(place, f"{name} (dial)" if name in table.columns else name, spread)
        return table


def load_runs(folders: str | Path | Iterable[str | Path]) -> Runs:
    """All runs in a folder or several and below them, shards of one put together. Raises ValueError for a folder that
    does not exist or holds none that this version reads."""
    given = [folders] if isinstance(folders, str | Path) else folders
    return Runs(runs=tuple(pooled(find_runs(given))))
