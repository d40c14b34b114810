"""The values that travel through the engine. All are frozen: a stage returns a new value, it never edits one.

Shape legend, used as name suffixes throughout the project:

====  =========================================================================
T     tokens of a prompt
V     visual tokens of a prompt (t * h * w of its grid), in raster/time order
K     visual tokens kept by a pruner
S     text tokens after the last visual placeholder (the question and chat tail)
N     nodes of a draft (a chain is the tree whose node i hangs on node i - 1)
M     nodes of one forward pass (the root and the N draft nodes)
W     entries of the vocabulary
D     width of a hidden state
P     position axes (3 for M-RoPE, 1 otherwise)
====  =========================================================================

A letter that is none of these, or means something else, is explained where it is used. There is no batch axis: one
sample is decoded at a time, as in every paper this project implements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# A closed choice is a Literal, and checks take its values from there (`typing.get_args`).
Dtype = Literal["float64", "float32", "bfloat16", "float16"]
Positions = Literal["original", "compact"]
"""Of a pruned prompt: its tokens keep theirs, or are re-indexed."""
Finish = Literal["eos", "length"]
"""How a generation ended: with the end-of-sequence token, or at its budget."""


class SampleError(ValueError):
    """What is wrong with one sample alone: its video, its question, its length. It is recorded and the run goes on;
    any other error is a bug or a wrong setting, and ends the run."""


class MethodError(RuntimeError):
    """A method gave what its contract forbids: a fault of its code, which ends the run in one line."""


class Grid(NamedTuple):
    """The visual grid after the model's spatial and temporal merge: t * h * w visual tokens."""

    t: int
    h: int
    w: int

    @property
    def tokens(self) -> int:
        return self.t * self.h * self.w


class Span(NamedTuple):
    """The seconds of a video that are shown: from `start` on, counted from its first frame, and before `end` (None: to
    the last frame). Of a span in which no frame begins, the one before it is on the screen."""

    start: float = 0.0
    end: float | None = None


WHOLE = Span()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question about one video file, or about the `span` of it, with what is known of the right answer.

    `options` are the texts of the options A, B, C ... of a multiple-choice question, whose reference is the letter;
    empty where the answer is free. `facts` are the data set's own, as JSON values: its scorer alone reads them.
    """

    id: str
    video: str
    question: str
    reference: str = ""
    options: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    span: Span = WHOLE


class Score(NamedTuple):
    """How much of a generation is `right` of what was `asked`. A run's value is the sum of the one over the other's."""

    right: float
    asked: float = 1.0


NOTHING_SEEN = Grid(0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Video:
    """Decoded frames: uint8 RGB of shape (frames, height, width, 3), and the second at which each was shown
    (`timestamps`).

    `fitted` says that they have the size to which the models' processors would bring them (see `vsd.models.scaling`);
    `warning` what is odd about the file, though it can be read.
    """

    frames: NDArray[np.uint8]
    timestamps: NDArray[np.float64]
    path: str = ""
    fitted: bool = False
    warning: str = ""

    @property
    def fps(self) -> float:
        """Frames per second of the *sampled* frames (1.0 when there is only one)."""
        span = float(self.timestamps[-1] - self.timestamps[0]) if len(self.timestamps) > 1 else 0.0
        return (len(self.timestamps) - 1) / span if span > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt ready for prefill: embeddings with the visual features in place.

    `visual_V` holds the indices (into T) of the V grid tokens. Placeholders that are not on the grid (the closing
    newline of LLaVA-OneVision) count as text and are never pruned; `suffix` is the index of the first token after
    the last placeholder of any kind. `next_position` is the rotary position of the first generated token.
    `vision_attention_V` is what each visual token receives of the vision tower's attention, where that was wanted.
    """

    ids_T: Tensor
    embeds_TD: Tensor
    positions_PT: Tensor
    visual_V: Tensor
    grid: Grid
    suffix: int
    next_position: int
    vision_attention_V: Tensor | None = None

    @property
    def length(self) -> int:
        return int(self.ids_T.shape[0])

    @property
    def text_ids(self) -> list[int]:
        """The tokens that are no visual tokens, in order."""
        import torch

        mask_T = torch.ones(self.length, dtype=torch.bool, device=self.ids_T.device)
        mask_T[self.visual_V] = False
        ids: list[int] = self.ids_T[mask_T].tolist()
        return ids

    @property
    def features_VD(self) -> Tensor:
        """The projector's outputs, in raster/time order."""
        return self.embeds_TD[self.visual_V]

    def keep(self, kept_K: Tensor) -> Prompt:
        """The same prompt with only the visual tokens `kept_K` (indices into V, sorted). Positions stay as they were.

        The result's `grid` still describes the full video; `visual_V` has K entries.
        """
        import torch

        mask_T = torch.ones(self.length, dtype=torch.bool, device=self.ids_T.device)
        mask_T[self.visual_V] = False
        mask_T[self.visual_V[kept_K]] = True
        new_index_T = mask_T.cumsum(0) - 1
        return replace(
            self,
            ids_T=self.ids_T[mask_T],
            embeds_TD=self.embeds_TD[mask_T],
            positions_PT=self.positions_PT[:, mask_T],
            visual_V=new_index_T[self.visual_V[kept_K]],
            suffix=int(mask_T[: self.suffix].sum()),
        )

    def compact(self) -> Prompt:
        """The same prompt re-indexed 0..T-1 on every position axis (SpecVLM, arXiv 2508.16201)."""
        import torch

        axis_T = torch.arange(self.length, device=self.positions_PT.device)
        return replace(self, positions_PT=axis_T.expand_as(self.positions_PT).clone(), next_position=self.length)


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Hidden states of one layer of the target's prefill: of the visual tokens and of the text suffix."""

    visual_VD: Tensor
    text_SD: Tensor


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The `video` as it was read, uncopied, and where the visual tokens of the `grid` lie in it.

    Step t of the grid shows `per_step` frames, `of_step(t)`; the last frame stands for those that are missing at the
    end. A token at (t, y, x) shows of each the y-th of h equal parts of the height and the x-th of w of the width.
    """

    video: Video
    grid: Grid
    per_step: int = 1

    def of_step(self, t: int) -> range:
        """The frames that step t shows."""
        return range(t * self.per_step, min((t + 1) * self.per_step, len(self.video.frames)))

    def per_token(self, value_FHW: Tensor) -> Tensor:
        """value_V: of a number for each pixel of each frame, the mean over what each visual token shows. Real, of at
        least float32 where it is no whole number; H and W may be coarser than the frames', as 1 x 1 of a number for
        each frame. Raises ValueError for another number of frames."""
        import torch

        if value_FHW.ndim != 3 or len(value_FHW) != len(self.video.frames):
            raise ValueError(
                f"frames: must have a value of shape ({len(self.video.frames)}, H, W), got {tuple(value_FHW.shape)}"
            )
        wide_FHW = value_FHW if value_FHW.dtype == torch.float64 else value_FHW.float()
        missing = self.grid.t * self.per_step - len(wide_FHW)
        wide_FHW = torch.cat((wide_FHW, wide_FHW[-1:].expand(missing, -1, -1)))
        return torch.nn.functional.adaptive_avg_pool3d(
            wide_FHW[None], (self.grid.t, self.grid.h, self.grid.w)
        ).flatten()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the target's prefill has shown, by the names that methods `need` it by (see `vsd.evidence`).

    ``evidence["attention"]`` is a tensor with a row for each visual token, a `Hidden`, a number, or the `Frames`. It
    holds what some method of the run needs and nothing else. `seed` differs per sample and is the only source of
    randomness a pruner may use.
    """

    grid: Grid
    seed: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, need: str) -> Any:
        """Raises ValueError for what nobody has asked for, and for another number of rows than of visual tokens."""
        if need not in self.values:
            raise ValueError(
                f"evidence: must be what the method's `needs` name ({', '.join(self.values)}), got {need!r}"
            )
        value = self.values[need]
        if isinstance(value, Hidden) and not len(value.text_SD):
            raise ValueError(f"evidence: {need} must have text behind the video, got none")
        rows = _rows(value)
        if rows is None or rows == self.grid.tokens:
            return value
        raise ValueError(f"evidence: {need} must have {self.grid.tokens} rows, one a visual token, got {rows}")

    @property
    def tokens(self) -> int:
        """V, the number of visual tokens."""
        return self.grid.tokens


def _rows(value: Any) -> int | None:
    """For how many visual tokens the value of some evidence is; None if it is one number of the whole prompt."""
    if isinstance(value, float):
        return None
    if isinstance(value, Frames):
        return value.grid.tokens
    return len(value.visual_VD if isinstance(value, Hidden) else value)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a drafter continues: the text tokens of the prompt, the tokens committed so far, and the rounds that
    committed them.

    `evidence` is what the drafter `needs` of the target's passes, by name: row i is of the state that predicted token
    i. It has a row for each token that the target has verified, and is empty before the first. `memory` is what the
    drafter remembers of the run so far (see `vsd.drafters.base.Drafter.memory`). `with_confidence`: whether the rule
    that judges the draft looks at its `confidence_N`.
    """

    prompt: Sequence[int]
    tokens: Sequence[int]
    rounds: Sequence[Round] = ()
    evidence: Mapping[str, Tensor] = field(default_factory=dict)
    memory: Any = None
    with_confidence: bool = False


@dataclass(frozen=True, kw_only=True)
class VerifierContext:
    """What an acceptance rule may look at besides the draft and the target's output.

    `tokens` are committed before the draft, by `rounds` (but for a first one that comes from the prefill); `left` is
    how many more may be committed; `last_read` is false where the target has not read the draft's last node: then
    nothing is known of what follows it, and the output has one row less. `evidence` is that of the target's prefill.
    """

    evidence: Evidence
    tokens: Sequence[int] = ()
    rounds: Sequence[Round] = ()
    left: int
    last_read: bool = True


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A tree of proposed tokens. `parents_N[i]` is the node that token i follows, -1 for the last committed token.

    Parents come before children. `probs_NW` are the draft's probabilities each token was drawn from (None when the
    draft was greedy or came from no model). `confidence_N` is how sure the draft was of each token: its probability at
    temperature 1, greedy or not (None where no rule of the run looks at it, and when it came from no model).
    """

    tokens_N: Tensor
    parents_N: Tensor
    probs_NW: Tensor | None = None
    confidence_N: Tensor | None = None

    @cached_property
    def tokens(self) -> list[int]:
        """`tokens_N` in host memory: the first who asks waits for the device."""
        tokens: list[int] = self.tokens_N.tolist()
        return tokens

    @cached_property
    def parents(self) -> list[int]:
        """`parents_N` in host memory."""
        parents: list[int] = self.parents_N.tolist()
        return parents


@dataclass(frozen=True, kw_only=True)
class Output:
    """One forward pass over M nodes: logits after each node, and what evidence was wanted of it, by name, a row a
    node."""

    logits_MW: Tensor
    evidence: Mapping[str, Tensor] = field(default_factory=dict)

    def behind(self, path: Sequence[int]) -> int | None:
        """The row that follows the last node of a path through a draft (indices into N), which node i follows in row
        i + 1; None if the target has not read that node."""
        row = path[-1] + 1 if path else 0
        return row if row < self.logits_MW.shape[0] else None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which draft nodes stand (`path`, indices into N from the root down) and the target's own next token.

    `bonus` is None exactly where the last accepted node was not read by the target yet (see
    `vsd.parallelism.parallel`). A verdict is final: what the rule says is what is committed.

    Of a lossy rule, for each node of the path: whether it stands only because the rule was relaxed, and how much
    likelier the target's own token was (0 to 1, at temperature 1).
    """

    path: tuple[int, ...]
    bonus: int | None
    relaxed: tuple[bool, ...] = ()
    gaps: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Round:
    """The record of one draft-and-verify round.

    `drafted`: length of the longest path offered; `nodes`: draft nodes verified; `accepted`: draft tokens accepted
    (bonus not counted, and cut at the end of the generation); `committed`: tokens added to it, bonus included;
    `rejected`: a draft token was tested and refused; `relaxed`: which of the accepted ones (0 for the first) stand by
    a relaxed rule, and `gaps`: how much likelier the target's own token was at each of these; `evidence`: by name the
    numbers that were collected of each committed token, like its visual relevance.

    `proposed`: tokens that were drafted in this round; `ahead`: those of them that were drafted while the target
    verified, of which only the first was tested in this round; `wasted`: tokens that were thrown away in it, drafted
    now or before. `draft_s` and `verify_s` are the seconds that either side worked, `wall_s` those of the
    round: less than their sum where they worked at once; `wait_s` are those that the target waited for the draft. A
    window that was drafted during the prefill is tested with the prefill's logits, in a first round without seconds of
    the target's and of its own.
    """

    drafted: int
    nodes: int
    accepted: int
    committed: int
    rejected: bool
    relaxed: tuple[int, ...] = ()
    gaps: tuple[float, ...] = ()
    evidence: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    proposed: int = 0
    ahead: int = 0
    wasted: int = 0
    draft_s: float = 0.0
    verify_s: float = 0.0
    wait_s: float = 0.0
    wall_s: float = 0.0


Origin = Literal["draft", "target", "correction"]
"""Whose a token is: the draft's, the target's own behind what was accepted, or the target's own in the place of a draft
token that was rejected."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What is known of one token of a generation: whose it is, whether it stands by a relaxed rule alone, how much it
    depends on the video (`relevance`, None if that was not computed), and which round committed it, counted from 0
    (None: the prefill)."""

    origin: Origin = "target"
    relaxed: bool = False
    relevance: float | None = None
    round: int | None = None


Shared = Literal["features", "pixels", "nothing"]
"""What a draft takes from the target: its vision features, what its processor made of the video, or neither."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Everything recorded while one sample was decoded. `seconds` maps a span's name to its length.

    Spans: encode, prefill, prune, draft_encode, draft_prefill, decode (the papers' clock: all after the prefills and
    the pruning), first_token (from the start to the first committed token), total (everything after the video was
    decoded to frames). Those of draft and pruning lie within prefill where the schedule overlaps them. `finish` is
    "eos" or "length"; `target_forwards` counts decode-time forwards of the target; `devices` is how many devices the
    run held, a CPU once for each side that worked on it at the same time; `simulated` says that no second was measured
    (see `vsd.simulator`); `shared` what the draft took from the target instead of computing the same (None: no draft
    model read the video). `visual` tokens show the video, of which the draft's prompt `kept` so many (all where no
    draft model reads); the target's `prompt` has so many tokens in all. `tokens` are the generated ones, by id, the end
    of sequence included; `rounds` those of the decoding, in order. `grid` is that of the visual tokens, and `kept_K`
    are those that the draft's prompt kept, by their places in it; empty where that is all of them.
    """

    tokens: tuple[int, ...]
    rounds: tuple[Round, ...]
    seconds: Mapping[str, float]
    target_forwards: int
    visual: int
    kept: int
    prompt: int
    finish: Finish
    devices: int = 1
    simulated: bool = False
    shared: Shared | None = None
    grid: Grid = NOTHING_SEEN
    kept_K: tuple[int, ...] = ()

    @property
    def before_rounds(self) -> int:
        """How many tokens are of no round: a first one, which comes from the prefill."""
        return len(self.tokens) - sum(round_.committed for round_ in self.rounds)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Of each token, whose it is and how it was judged. One of no round is the target's own, from the prefill."""
        owners: list[tuple[Origin, bool, int | None]] = [("target", False, None)] * self.before_rounds
        for number, each in enumerate(self.rounds):
            owners += [(_origin(each, place), place in each.relaxed, number) for place in range(each.committed)]
        return tuple(
            Mark(origin=origin, relaxed=relaxed, relevance=relevance, round=number)
            for (origin, relaxed, number), relevance in zip(owners, self.by_token("relevance"), strict=True)
        )

    def by_token(self, name: str) -> list[float | None]:
        """What was collected under this name of each token (see `Round.evidence`); None of a token of which it was not,
        like those `before_rounds`."""
        found: list[float | None] = [None] * self.before_rounds
        for round_ in self.rounds:
            values = round_.evidence.get(name, ())[: round_.committed]
            found += [*values, *[None] * (round_.committed - len(values))]
        return found


def _origin(round_: Round, place: int) -> Origin:
    """Whose the token is that a round has committed at this place."""
    if place < round_.accepted:
        return "draft"
    return "correction" if round_.rejected and place == round_.accepted else "target"
