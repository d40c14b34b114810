"""Why does UV-Prune find, or not find, what is asked for? ``python -m experiments.pruning.uv``

The target reads each question once. After every layer each visual token gets a score, and the tokens that show what is
asked for are held against all others: the area under the ROC curve (0.5: the score knows nothing of them, 1: they come
first), and the share of them that is kept at the ratio. The scores are UV-Prune's own and ones that differ from it in
one respect: the text tokens, the formula, or what it is made of. The attention of the same layers stands beside them:
if it finds the events where no similarity of states does, the model knows where they are, and the score does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from experiments.common import Clips, arguments, event_tokens, mean, pairs, read_prompt, setting, table
from vsd.metrics import Estimate
from vsd.models import VideoLM
from vsd.models.base import chat
from vsd.pruners.select import budget, top
from vsd.pruners.similarity import unit
from vsd.types import Hidden, Prompt, Sample, Video
from vsd.zoo.small_events.asking import FACT_WORDS

Scores = dict[tuple[str, int], Tensor]
"""By what it is and the layer, counted from 1: of all visual tokens."""
Change = Callable[[Hidden], tuple[Tensor, Tensor]]
ALL = 0  # in a layer's place: the mean over the layers


@dataclass(frozen=True)
class Read:
    """The states of a prompt after each layer, from 0; the suffix's places of the question's own text and of the words
    in it that name the event; and the suffix's attention on the visual tokens in each layer, from 1."""

    states: list[Hidden]
    question: list[int]
    names: list[int]
    attention: dict[str, list[Tensor]]


@torch.inference_mode()
def read(target: VideoLM, sample: Sample, prompt: Prompt) -> Read:
    layers = [str(layer) for layer in range(target.depth + 1)]
    needs = [f"hidden:{layer}" for layer in layers]
    needs += [f"{kind}:{layer}" for kind in ATTENTIONS.values() for layer in layers[1:]]
    evidence = read_prompt(target, prompt, needs)[1]
    ids = prompt.ids_T[prompt.suffix :].tolist()
    pieces = [target.processor.tokenizer.decode([token]).strip().lower() for token in ids]
    begin, end = _question(target, ids)
    names = [place for place in range(begin, end) if pieces[place] in FACT_WORDS]
    return Read(
        states=[evidence[f"hidden:{layer}"] for layer in layers],
        question=list(range(begin, end)),
        names=names or list(range(begin, end)),
        attention={name: [evidence[f"{kind}:{layer}"] for layer in layers[1:]] for name, kind in ATTENTIONS.items()},
    )


ATTENTIONS = {"attention": "attention", "attention, over the video's keys": "video_attention"}
"""By what it is called here, the kind of evidence."""


def _question(target: VideoLM, suffix: list[int]) -> tuple[int, int]:
    """Where the question's tokens stand in the suffix: what it shares with that of another question is the chat's."""
    other = target.processor.tokenizer(chat(target.processor, "~"))["input_ids"]
    other = other[len(other) - other[::-1].index(target._video_token) :]
    head, tail = (_alike(suffix[::step], other[::step]) for step in (1, -1))
    return head, len(suffix) - tail


def _alike(ours: list[int], theirs: list[int]) -> int:
    """How many tokens the two begin with alike."""
    return next((place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)


def scores(read: Read) -> Scores:
    found: Scores = {}
    first = read.states[0]
    last = [first.text_SD.shape[0] - 1]
    every = list(range(first.text_SD.shape[0]))
    for layer in range(1, len(read.states)):
        late = read.states[layer]

        def growth(places: list[int], change: Change = plain, late: Hidden = late, *, most: bool = False) -> Tensor:
            return _like(late, late, places, change, most) - _like(first, first, places, change, most)

        ours = {
            "UV-Prune: growth, all text behind the video": growth(every),
            "growth, the question's tokens": growth(read.question),
            "growth, the words that name the event": growth(read.names),
            "growth, the last token": growth(last),
            "growth, of the closest text token": growth(every, most=True),
            "loss: the same with the sign turned round": -growth(every),
            "similarity after the layer, nothing taken off": _like(late, late, every, plain),
            "similarity after the layer, the words that name it": _like(late, late, read.names, plain),
            "growth, states less the mean": growth(every, centred),
            "growth, states less the mean, naming words": growth(read.names, centred),
            "similarity, states less the mean, naming words": _like(late, late, read.names, centred),
            "text after the layer, video before the first": _like(first, late, every, centred),
            "text before the first layer, video after": _like(late, first, every, centred),
            "dot product after the layer": _like(late, late, every, raw),
            "how far the token itself has moved": 1 - (unit(late.visual_VD) * unit(first.visual_VD)).sum(-1),
        }
        found |= {(name, layer): score for name, score in ours.items()}
        found |= {(name, layer): each[layer - 1] for name, each in read.attention.items()}
    for name in [name for name, layer in found if layer == 1]:
        found[name, ALL] = torch.stack([score for (each, _), score in found.items() if each == name]).mean(0)
    return found


def _like(video: Hidden, text: Hidden, places: list[int], change: Change, most: bool = False) -> Tensor:
    """Each visual token's similarity to these text tokens: the sum, or that to the closest."""
    found_VS = change(video)[0] @ change(text)[1][places].T
    return found_VS.max(-1).values if most else found_VS.sum(-1)


def plain(states: Hidden) -> tuple[Tensor, Tensor]:
    """The states of the visual tokens and of the text as unit vectors: products are cosines."""
    return unit(states.visual_VD), unit(states.text_SD)


def centred(states: Hidden) -> tuple[Tensor, Tensor]:
    """The same of the states less the mean of the visual ones: without the direction that all have in common."""
    mean_D = states.visual_VD.mean(0)
    return unit(states.visual_VD - mean_D), unit(states.text_SD - mean_D)


def raw(states: Hidden) -> tuple[Tensor, Tensor]:
    return states.visual_VD.float(), states.text_SD.float()


def judge(target: VideoLM, sample: Sample, video: Video, ratio: float) -> Iterator[tuple[str, int, float, float]]:
    """Name, layer, area under the ROC curve and share kept, of every score."""
    prompt = target.encode(video, sample.question)
    right = event_tokens(sample, prompt.grid, len(video.frames))
    is_event = np.isin(np.arange(prompt.grid.tokens), right)
    kept = budget(prompt.grid.tokens, ratio)
    for (name, layer), score_V in scores(read(target, sample, prompt)).items():
        share = is_event[top(score_V, kept).numpy()].sum() / len(right)
        yield name, layer, float(roc_auc_score(is_event, score_V.float().numpy())), float(share)


def rows(found: Mapping[tuple[str, int], Estimate], depth: int) -> Iterator[list[object]]:
    """A row a score, a column a layer."""
    for name in dict.fromkeys(name for name, _ in found):
        yield [name, *(f"{found[name, layer].value:.2f}" for layer in (*range(1, depth + 1), ALL))]


def main() -> None:
    args = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Ratio {args.ratio:g}.\n")
    for family, target, _ in pairs(args):
        areas, shares = defaultdict(list), defaultdict(list)
        for sample, video in clips:
            if sample.facts["shown"]:  # a shot may be empty
                for name, layer, area, share in judge(target, sample, video, args.ratio):
                    areas[name, layer].append((sample.video, area))
                    shares[name, layer].append((sample.video, share))
        head = ["score", *map(str, range(1, target.depth + 1)), "mean of all"]
        for title, numbers in (("area under the ROC curve", areas), ("share of the events' tokens kept", shares)):
            found = {place: mean(each) for place, each in numbers.items()}
            print(f"### {family}: {title}, by layer\n")
            print(table(head, rows(found, target.depth)), "\n")
            print(f"Standard errors: up to {max(each.error for each in found.values()):.2f}.\n", flush=True)


if __name__ == "__main__":
    main()
