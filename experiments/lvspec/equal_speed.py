"""Which loose rule is worth its speed? ``python -m experiments.lvspec.equal_speed``

The rules answer each question in turn, beside the target alone and in LVSpec's setting (chains of 10 on prompts pruned
uniformly at 0.9), so that their speeds can be compared. What relaxing at random keeps at a rule's speed
lies on a straight line between its two nearest settings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from experiments.common import Clips, arguments, pairs, setting, side_by_side, table
from vsd.engine import Engine
from vsd.metrics import summarise
from vsd.models import VideoLM
from vsd.pruners.uniform import Uniform
from vsd.verifiers import Verifier
from vsd.verifiers.fly import FLy
from vsd.verifiers.lvspec import LVSpec
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.typical import Typical

AT_RANDOM = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
RULES: tuple[tuple[str, Verifier], ...] = (
    *((f"random relaxation, {looseness:g}", RandomRelax(looseness=looseness)) for looseness in AT_RANDOM),
    *((f"LVSpec, {looseness:g}", LVSpec(looseness=looseness)) for looseness in (0.1, 0.3, 0.5, 0.7)),
    ("FLy", FLy()),
    ("FLy, the window need not fit", FLy(end="open")),
    ("FLy's entropy gate alone", FLy(window=0)),
    ("typical acceptance", Typical()),
)
GAMMA = 10


def measure(target: VideoLM, draft: VideoLM, clips: Clips, ratio: float) -> Iterator[list[object]]:
    """A row a rule."""
    engines = [
        Engine(target=target, draft=draft, pruner=Uniform(ratio=ratio), verifier=verifier, gamma=GAMMA)
        for _, verifier in RULES
    ]
    summaries = [summarise(each) for each in side_by_side(engines, clips)]
    found = [{"quality/retention": float("nan"), **summary.values} for summary in summaries]
    points = sorted((values["speed/decode"], values["quality/retention"]) for values in found[: len(AT_RANDOM)])
    speeds, kept = zip(*points, strict=True)
    for (name, _), values, summary in zip(RULES, found, summaries, strict=True):
        speed, retention = values["speed/decode"], values["quality/retention"]
        low, high = summary.intervals.get("quality/retention", (retention, retention))
        interval = f"[{low:.1f}, {high:.1f}]"
        at_random = f"{np.interp(speed, speeds, kept):.1f}" if speed <= speeds[-1] else f"< {kept[-1]:.1f}"
        accepted = values["accept/draft_length"]
        yield [name, f"{accepted:.2f}", f"{speed:.2f}", f"{retention:.1f} {interval}", at_random]


def main() -> None:
    args = arguments(__doc__, draft="other").parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Ratio {args.ratio:g}, drafts {args.draft}.\n")
    for family, target, draft in pairs(args):
        rows = list(measure(target, draft.load(), clips, args.ratio))
        print(f"### {family}, {args.draft}\n")
        head = ["rule", "accept/draft_length", "speed/decode", "quality kept, %", "at random, as fast"]
        print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
