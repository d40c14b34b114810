"""A finished run's numbers and table again, without decoding: ``vsd report FOLDER [FOLDER ...]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf

from vsd.metrics import summarise
from vsd.run.report import terminal
from vsd.run.report.folder import last_run


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrites metrics.json from all samples of a folder's last config, whatever their limit and shard, and prints the
    table; 2 for a folder that holds no run, or none that this version can read."""
    parser = argparse.ArgumentParser(prog="vsd report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    for folder in parser.parse_args(argv).folders:
        if not (folder / "provenance.json").is_file():
            print(f"error: FOLDER: must be the folder of a run, got {str(folder)!r}", file=sys.stderr)
            return 2
        run, records = last_run(folder)
        if not records:  # its metrics.json stays: nothing here could make it again
            rule = "must hold a sample that this version can read"
            print(f"error: FOLDER: {rule}, got {str(folder)!r}", file=sys.stderr)
            return 2
        summary = summarise(records)
        run.write_metrics(summary.flat())
        verifier = instantiate(OmegaConf.load(folder / "config.yaml").verifier)
        terminal.show(records, summary, folder, verifier=verifier)
    return 0


if __name__ == "__main__":
    sys.exit(main())
