"""What does it cost to hand frames to the draft's process? ``OMP_NUM_THREADS=1 python -m experiments.speed.crossing``

Arrays of bytes go to a child process, which answers with their last byte: through the pipe, or through memory that it
maps, as those from `vsd.utils.messages.LARGE` bytes on do. Both in turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from experiments.common import setting, table
from vsd.utils import messages
from vsd.utils.child_process import ChildProcess, comes
from vsd.utils.messages import Blocks

SIZES = (2**16, 2**18, 2**20, 2**22, 2**24, 2**26, 2**28)  # bytes; 64 frames of 392 x 644 are 48 MB
LIMIT_S = 60.0


def serve(pipe: Connection) -> None:
    """Answer each array with its last byte."""
    while True:
        comes(pipe)
        pipe.send(int(messages.unpacked(pipe.recv())[-1]))


def seconds(child: ChildProcess, packed: Callable[[Any, Blocks], Any], array: Any) -> float:
    """From an array here to an answer that has seen it."""
    blocks, start = Blocks(), perf_counter()
    child.send(packed(array, blocks), LIMIT_S)
    assert child.receive(LIMIT_S) == array[-1]
    blocks.release()
    return perf_counter() - start


def whole(array: Any, blocks: Blocks) -> Any:
    """Through the pipe."""
    return array


def mapped(array: Any, blocks: Blocks) -> Any:
    """Through mapped memory, whatever its size."""
    return blocks.put(array)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="bytes")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    child = ChildProcess(serve)
    child.start()
    rows = list[list[object]]()
    for size in args.sizes:
        array = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
        ways = {"pipe": whole, "mapped": mapped}
        found = [{name: seconds(child, way, array) for name, way in ways.items()} for _ in range(args.repeats + 1)][1:]
        pipe_s, mapped_s = (median(one[name] for one in found) for name in ways)
        rows.append([f"{size / 1e6:g}", 1000 * pipe_s, 1000 * mapped_s, pipe_s / mapped_s])
    child.close()
    print(setting(), f"Milliseconds from here to an answer, medians of {args.repeats}.\n")
    print(table(["MB", "pipe", "mapped memory", "pipe / mapped"], rows))


if __name__ == "__main__":
    main()
