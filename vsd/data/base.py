"""What a benchmark is: a list of samples with their scorer, and which of them this job takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from vsd.data.choices import LETTERS
from vsd.types import Sample
from vsd.utils.validation import is_whole, require, shortened


class Source(Protocol):
    """A benchmark. Its fields are its config; the constructor reads nothing.

    It may have a scorer of its own, `score(sample, text) -> {name: value}`, with a `vsd.types.Score` or a number for a
    value; without one its answers are scored plainly. `fact_spans(sample, text) -> [(first, last), ...]` may say where
    a text states facts, for `relevance/auc` (see `vsd.data.scoring` for both).
    """

    def samples(self) -> list[Sample]:
        """All samples, in a fixed order, ids unique; no video is opened. Raises ValueError if there are none."""
        ...


def check_samples(given: Any) -> list[Sample]:
    """The samples of any source, all fields of their types. Raises ValueError for the first that is not, for an id that
    comes twice, and for none at all."""
    samples = list(given) if isinstance(given, Iterable) else []
    demand("data", "samples", "at least one vsd.types.Sample", given, bool(samples))
    for number, sample in enumerate(samples, start=1):
        where = f"data: sample {number}"
        demand(where, "it", "a vsd.types.Sample", sample, isinstance(sample, Sample))
        check_sample(f"{where} (id {shortened(sample.id)})", sample)
    twice = [name for name, count in Counter(sample.id for sample in samples).items() if count > 1]
    if twice:
        raise ValueError(f"data: the ids of samples must differ, got {twice[0]!r} more than once")
    return samples


def check_sample(where: str, sample: Sample) -> None:
    """ValueError, beginning with `where`, unless every field is of its type."""
    for name in ("id", "video", "question"):
        demand_text(where, name, getattr(sample, name))
    demand(where, "video", "the path of a file", sample.video, "\0" not in sample.video)
    demand_text(where, "reference", sample.reference, empty=True)
    demand_texts(where, "options", sample.options)
    if sample.options and sample.reference:
        letters = LETTERS[: len(sample.options)]
        rule = f"the letter of an option ({letters[0]} to {letters[-1]})"
        demand(where, "reference", rule, sample.reference, sample.reference in tuple(letters))
    demand(where, "facts", "an object of JSON values", sample.facts, _is_json(sample.facts))


def demand(where: str, name: str, rule: str, value: object, holds: bool) -> None:
    """ValueError that says where the value stands, unless it `holds`."""
    if not holds:
        raise ValueError(f"{where}: {name} must be {rule}, got {shortened(value)}")


def demand_text(where: str, name: str, value: object, *, empty: bool = False) -> None:
    """Text, with more than white space in it unless it may be `empty`."""
    demand(where, name, "text", value, isinstance(value, str))
    demand(where, name, "text that is not empty", value, empty or bool(str(value).strip()))


def demand_id(where: str, value: object) -> None:
    """What a file may call a sample: text or a whole number."""
    demand(where, "id", "text or a whole number", value, isinstance(value, str) or is_whole(value, least=0))


def demand_texts(where: str, name: str, value: object) -> None:
    """A list of texts, as many as there are letters for, or none."""
    texts = list(value) if isinstance(value, (list, tuple)) else [value]
    holds = len(texts) <= len(LETTERS) and all(isinstance(text, str) and text.strip() for text in texts)
    demand(where, name, f"a list of at most {len(LETTERS)} texts", value, holds and isinstance(value, (list, tuple)))


def as_text(name: str, value: object) -> str:
    """The text that was meant by a value that only YAML takes for a number or a truth value. Raises ValueError for
    others, and for an empty one."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    meant = isinstance(value, (str, int, float)) and bool(text.strip())
    require(name, "text that is not empty", value, meant)
    return text


def _is_json(value: object) -> bool:
    try:
        return isinstance(value, Mapping) and bool(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False


def expanded(path: str) -> Path:
    """The path with ~ replaced. Raises ValueError for the home of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"data.path: must be in a home folder that is known, got {path!r}") from None


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
