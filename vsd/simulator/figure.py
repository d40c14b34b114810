"""Speed-up over gamma, a line a schedule and ratio."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def draw(points: Iterable[tuple[str, float, int, float]], path: Path) -> None:
    """Points of schedule, ratio, gamma and speed-up, to a file whose ending says its kind. Needs matplotlib."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "vsd"  # the same file from the same numbers
    from matplotlib import pyplot as plt

    lines: dict[tuple[str, float], list[tuple[int, float]]] = {}
    for schedule, ratio, gamma, speed in points:
        lines.setdefault((schedule, ratio), []).append((gamma, speed))
    figure, axis = plt.subplots(figsize=(6, 4))
    for (schedule, ratio), line in lines.items():
        axis.plot(*zip(*sorted(line), strict=True), "o-", ms=3, lw=1, label=f"{schedule}, ratio {ratio:g}")
    axis.axhline(1, color="grey", lw=0.5)
    axis.set(xlabel="gamma", ylabel="predicted speed-up, decoding")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
