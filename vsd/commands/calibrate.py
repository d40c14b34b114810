"""The tokens that a draft needs: ``vsd calibrate FOLDER ... --out tokens.json [--share 0.999]``.

Counts the tokens that the target said in finished runs and writes the most frequent ones. With
`draft_vocab=tokens.json` the draft's head computes these alone (VocabTrim, arXiv 2506.22694): its step is cheaper, and
the generation is as exact as ever, since the target keeps all its tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from vsd.run.report.folder import last_run


def frequent(counts: Counter[int], share: float) -> list[int]:
    """The fewest tokens that make up `share` of what was said, sorted."""
    total, covered = sum(counts.values()), 0
    kept: list[int] = []
    for token, count in counts.most_common():
        if covered >= share * total:
            break
        kept.append(token)
        covered += count
    return sorted(kept)


def count(folders: Iterable[Path]) -> Counter[int]:
    """Tokens of the target alone where it was measured, else of the run itself, over all finished samples."""
    counts: Counter[int] = Counter()
    for folder in folders:
        for record in last_run(folder)[1]:
            trace = record.baseline or record.trace
            counts.update(trace.tokens if trace else ())
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file; 2 for folders without samples or a share out of range."""
    parser = argparse.ArgumentParser(prog="vsd calibrate", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.999, help="of the tokens said, to be covered (default 0.999)")
    args = parser.parse_args(argv)
    if not 0 < args.share <= 1:
        print(f"error: --share: must be in (0, 1], got {args.share}", file=sys.stderr)
        return 2
    try:
        tokens = frequent(count(args.folders), args.share)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not tokens:
        print("error: FOLDER: must hold a finished sample, got none", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(tokens) + "\n", encoding="utf-8")
    print(f"{len(tokens)} tokens -> {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
