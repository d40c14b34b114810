"""What the runs of a page are called: by their folders in tables, by what tells them apart in pictures."""

from __future__ import annotations

from collections.abc import Sequence

from vsd.run.report.printable import printable
from vsd.run.results.cells import shortened, written
from vsd.run.results.dials import varying
from vsd.run.results.run import Run, common_folder


class Names:
    """The names of these runs."""

    def __init__(self, runs: Sequence[Run]) -> None:
        above, dials = common_folder(runs), varying(runs)
        self._folders = {id(run): str(run.folder.resolve().relative_to(above)) for run in runs}
        self._values = {
            id(run): {name: written(column[place]) for name, column in dials.items()} for place, run in enumerate(runs)
        }

    def short(self, run: Run) -> str:
        """Its folder's name, below the folder that all are in."""
        return printable(self._folders[id(run)])

    def brief(self, run: Run) -> str:
        """The values of the dials in which it differs from the others, its folder if there are none."""
        text = printable(", ".join(self._values[id(run)].values())) or self.short(run)
        return shortened(text)

    def long(self, run: Run) -> str:
        """These dials as the command line has them."""
        text = " ".join(f"{name}={value}" for name, value in self._values[id(run)].items())
        return printable(text) or self.short(run)
