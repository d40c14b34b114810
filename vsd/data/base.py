"""What a benchmark is: a list of samples, and which of them this job takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vsd.types import Sample


class Source(Protocol):
    """A benchmark. Its fields are its config; the constructor reads nothing."""

    def samples(self) -> list[Sample]:
        """All samples, in a fixed order, ids unique; no video is opened. Raises ValueError if there are none."""
        ...


def parse_shard(shard: str) -> tuple[int, int]:
    """`i/n` as (i, n). Raises ValueError unless 0 <= i < n."""
    parts = str(shard).split("/")
    if len(parts) == 2 and all(part.isdecimal() for part in parts) and int(parts[0]) < int(parts[1]):
        return int(parts[0]), int(parts[1])
    raise ValueError(f"shard: must be i/n with 0 <= i < n, got {shard!r}")


def select(samples: Sequence[Sample], limit: int | None, shard: str) -> list[Sample]:
    """The first `limit` samples, and of those every n-th from the i-th on (`shard` is i/n)."""
    index, count = parse_shard(shard)
    return list(samples[:limit][index::count])
