"""Checks this machine, line by line.

``vsd doctor [--device cuda] [--full] [--large] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging

from vsd.commands.doctor import decoding, kernels
from vsd.commands.doctor.checks import FAILED, Check, Line, Machine, run
from vsd.models import check_device
from vsd.run.provenance import provenance

CHECKS: dict[str, Check] = {
    "versions": kernels.versions,
    "rows": kernels.rows,
    "split keys": kernels.split_keys,
    "growing keys": kernels.growing_keys,
    "head": kernels.head,
    "capacities": decoding.capacities,
    "schedules": decoding.schedules,
    "fixed shapes": decoding.fixed_shapes,
    "out of memory": decoding.out_of_memory,
    "launches": decoding.launches,
    "large": decoding.large,
    "peak": decoding.peak,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a check. 0 if none failed, 1 if one did, 2 for a device that is not here
    or a file that cannot be written."""
    parser = argparse.ArgumentParser(prog="vsd doctor", description=__doc__)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cpu, cuda or cuda:N (default: cuda if there is one)")
    parser.add_argument("--full", action="store_true", help="all combinations, and whole clips")
    parser.add_argument("--large", action="store_true", help="also a model of 3B shape with random weights")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found, for a bug report")
    options = parser.parse_args(argv)
    try:
        device = check_device(options.device)
        if options.json is not None:
            options.json.touch()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    lines = list[Line]()
    for name, check in CHECKS.items():
        lines.append(run(name, check, Machine(device=device, full=options.full, large=options.large)))
        print(f"{lines[-1].status:8} {name:14} {lines[-1].said}  ({lines[-1].seconds:.1f} s)", flush=True)
    failed = [line.name for line in lines if line.status == FAILED]
    if options.json is not None:
        report = {"provenance": provenance(), "device": str(device), "checks": [asdict(line) for line in lines]}
        options.json.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
        print(f"written to {options.json}")
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "all that could be checked holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
