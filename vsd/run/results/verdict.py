"""What is asked first of several runs: whether those that promise it are token-identical."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra.utils import instantiate
from omegaconf import OmegaConf

from vsd.run.results.run import Run
from vsd.verifiers import Verifier


def exactness(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """Of the runs whose rule promises the target's own tokens, how many have them."""
    compared = [run for run in runs if "exact/mismatched" in run.summary.values]
    rules = [(run, rule) for run in compared if (rule := verifier_of(run))]
    strict = [run for run, rule in rules if rule.lossless and rule.deterministic]
    wrong = [run for run in strict if run.summary.values["exact/mismatched"]]
    near = [run for run in wrong if run.summary.values.get("exact/unexplained") == 0]
    if strict and not wrong:
        yield "exact", f"[green]yes[/]: every generation of {_count(len(strict), 'lossless run')} is the target's own"
    elif strict:
        colour, word = ("yellow", "but for rounding") if len(near) == len(wrong) else ("red", "no")
        faulty = f"{len(wrong)} of {_count(len(strict), 'lossless run')} have generations that are not the target's own"
        yield "exact", f"[{colour}]{word}[/]: {faulty}" + (f", {len(near)} of them by near-ties alone" if near else "")
    if loose := [run for run, rule in rules if not (rule.lossless and rule.deterministic)]:
        done, differ = (sum(run.summary.values[name] for run in loose) for name in ("samples/done", "exact/mismatched"))
        same = f"{done - differ:.0f} of {done:.0f} generations are the target's own; their rules do not promise it"
        yield ("", f"{_count(len(loose), 'other run')}: {same}") if strict else ("exact", same)


def verifier_of(run: Run) -> Verifier | None:
    """The rule of a run; None where its config does not say, or names one that is not here."""
    try:
        found = instantiate(OmegaConf.create(dict(run.config["verifier"])))
    except Exception:  # it runs code of anybody's
        return None
    return found if isinstance(found, Verifier) else None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
