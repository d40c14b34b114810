"""Methods that are wrong in one way each: the contract has to find all of them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from vsd.draft import DraftSession
from vsd.drafters import Chain
from vsd.drafters.tree import Tree
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import depths
from vsd.parallelism import Sequential
from vsd.pruners.uniform import Uniform
from vsd.session import Session
from vsd.types import Context, Draft, Evidence, Output, Verdict, VerifierContext
from vsd.utils.random_source import RandomSource
from vsd.verifiers.greedy import Greedy
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.relaxed import Line, Relaxed
from vsd.verifiers.sampling import Sampling

# Pruners -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Untyped(Uniform):
    """Takes whatever it is given for a field of its own."""

    def __post_init__(self) -> None:
        super(Uniform, self).__post_init__()  # of the ratio alone


@dataclass(frozen=True, kw_only=True)
class Unsorted(Uniform):
    """Backwards."""

    def keep(self, evidence: Evidence) -> Tensor:
        return super().keep(evidence).flip(0)


@dataclass(frozen=True, kw_only=True)
class Twice(Uniform):
    """The first index in place of the last."""

    def keep(self, evidence: Evidence) -> Tensor:
        kept_K = super().keep(evidence)
        return torch.cat((kept_K[:1], kept_K[:-1]))


@dataclass(frozen=True, kw_only=True)
class Small(Uniform):
    """In another dtype."""

    def keep(self, evidence: Evidence) -> Tensor:
        return super().keep(evidence).int()


@dataclass(frozen=True, kw_only=True)
class Nowhere(Uniform):
    """On another device."""

    def keep(self, evidence: Evidence) -> Tensor:
        return super().keep(evidence).to("meta")


@dataclass(frozen=True, kw_only=True)
class More(Uniform):
    """A token more than its ratio leaves."""

    def keep(self, evidence: Evidence) -> Tensor:
        return torch.arange(min(self.budget(evidence.grid) + 1, evidence.tokens))


@dataclass(frozen=True, kw_only=True)
class Drawing(Uniform):
    """From the global random stream."""

    def keep(self, evidence: Evidence) -> Tensor:
        return torch.randperm(evidence.tokens)[: self.budget(evidence.grid)].sort().values


@dataclass(frozen=True, kw_only=True)
class Unchecked(Uniform):
    """Checks none of its fields."""

    def __post_init__(self) -> None:
        pass


# Drafters ------------------------------------------------------------------------------------------------------------


class _Changed(Chain):
    """A chain, changed in some way."""

    def change(self, draft: Draft, context: Context, gamma: int) -> Draft:
        raise NotImplementedError

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        return self.change(super().propose(context, model, state, gamma, random), context, gamma)


@dataclass(frozen=True, kw_only=True)
class Outside(_Changed):
    """A token that there is not."""

    def change(self, draft: Draft, context: Context, gamma: int) -> Draft:
        return replace(draft, tokens_N=draft.tokens_N + 896)


@dataclass(frozen=True, kw_only=True)
class Longer(_Changed):
    """A token more than gamma."""

    def change(self, draft: Draft, context: Context, gamma: int) -> Draft:
        tokens_N = torch.cat((draft.tokens_N, draft.tokens_N[-1:]))
        return Draft(tokens_N=tokens_N, parents_N=torch.arange(-1, len(tokens_N) - 1))


@dataclass(frozen=True, kw_only=True)
class Fan(_Changed):
    """A chain's tokens as children of the root."""

    def change(self, draft: Draft, context: Context, gamma: int) -> Draft:
        return replace(draft, parents_N=torch.full_like(draft.parents_N, -1))


@dataclass(frozen=True, kw_only=True)
class Misstated(_Changed):
    """Says other probabilities than its tokens were drawn with."""

    def change(self, draft: Draft, context: Context, gamma: int) -> Draft:
        return draft if draft.probs_NW is None else replace(draft, probs_NW=draft.probs_NW.sqrt().softmax(-1))


@dataclass(frozen=True, kw_only=True)
class Unsure(_Changed):
    """Says that it says how sure it is."""

    def change(self, draft: Draft, context: Context, gamma: int) -> Draft:
        return replace(draft, confidence_N=None)


@dataclass(frozen=True, kw_only=True)
class Stale(Chain):
    """Drafts behind the last token but one."""

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        tokens = [*context.tokens[:-1], 0] if context.tokens else []
        return super().propose(replace(context, tokens=tokens), model, state, gamma, random)


@dataclass(frozen=True, kw_only=True)
class Forgetful(Chain):
    """Reads the last token alone, whatever its state lacks."""

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        read = 0 if state is None else state.generated
        tokens = [*[0] * read, *context.tokens[-1:]]
        return super().propose(replace(context, tokens=tokens), model, state, gamma, random)


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Tree):
    """A tree whose nodes hang on the last node of the level above."""

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        draft = super().propose(context, model, state, gamma, random)
        levels = depths(draft.parents)
        last = {level: node for node, level in enumerate(levels)}
        return replace(draft, parents_N=torch.tensor([last.get(level - 1, -1) for level in levels]))


@dataclass(frozen=True, kw_only=True)
class WrongTree(Tree):
    """A tree with parents behind their children."""

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        draft = super().propose(context, model, state, gamma, random)
        return replace(draft, parents_N=draft.parents_N + 1)


# Verifiers -----------------------------------------------------------------------------------------------------------


class _Judged(RandomRelax):
    """Random relaxation, changed in some way."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        raise NotImplementedError

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        return self.change(super().verify(draft, output, context, random), draft, output, context)


@dataclass(frozen=True, kw_only=True)
class Miscounted(_Judged):
    """The first token is never said to be relaxed."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        return replace(verdict, relaxed=(False, *verdict.relaxed[1:]) if verdict.relaxed else ())


@dataclass(frozen=True, kw_only=True)
class Overstated(_Judged):
    """Half of each gap."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        return replace(verdict, gaps=tuple(gap / 2 for gap in verdict.gaps))


@dataclass(frozen=True, kw_only=True)
class NoBonus(_Judged):
    """Leaves out the target's own token."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        return replace(verdict, bonus=None)


@dataclass(frozen=True, kw_only=True)
class DraftsBonus(_Judged):
    """The draft's first token in place of the target's own."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        return verdict if verdict.bonus is None or not draft.tokens else replace(verdict, bonus=draft.tokens[0] % 5)


@dataclass(frozen=True, kw_only=True)
class Invented(_Judged):
    """A bonus token behind a node that was not read."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        return replace(verdict, bonus=0) if verdict.bonus is None else verdict


@dataclass(frozen=True, kw_only=True)
class Writing(_Judged):
    """Takes the generation into its own hands."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        tokens: Any = context.tokens
        tokens.append(0)
        return verdict


@dataclass(frozen=True, kw_only=True)
class AcrossPaths(_Judged):
    """All nodes of a tree stand."""

    def change(self, verdict: Verdict, draft: Draft, output: Output, context: VerifierContext) -> Verdict:
        path = tuple(range(len(draft.parents)))
        row = output.behind(path)
        return Verdict(path=path, bonus=None if row is None else int(output.logits_MW[row].argmax()))


@dataclass(frozen=True, kw_only=True)
class NeverStrict(Relaxed):
    """Names a strict setting that is not."""

    strict: ClassVar[Mapping[str, Any]] = {"margin": 0.5}
    loose: ClassVar[Mapping[str, Any]] = {"margin": 9.0}

    margin: float = 0.5

    def stands(self, line: Line) -> tuple[bool, ...]:
        best_n = line.logits_nW.max(-1).values
        pairs = zip(best_n, line.logits_nW, line.tokens, strict=True)
        return tuple(bool(best - logits_W[token] <= self.margin) for best, logits_W, token in pairs)


@dataclass(frozen=True, kw_only=True)
class NeverLoose(NeverStrict):
    """Names a loose setting that is not."""

    strict: ClassVar[Mapping[str, Any]] = {"margin": 0.0}
    loose: ClassVar[Mapping[str, Any]] = {"margin": 0.001}


@dataclass(frozen=True, kw_only=True)
class Unnamed(NeverStrict):
    """Names neither."""

    strict: ClassVar[Mapping[str, Any]] = {}
    loose: ClassVar[Mapping[str, Any]] = {}


@dataclass(frozen=True, kw_only=True)
class Remembering(Greedy):
    """Lets a wrong token stand every third time."""

    seen: ClassVar[list[int]] = []

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        self.seen.append(0)
        verdict = super().verify(draft, output, context, random)
        return verdict if len(self.seen) % 3 else replace(verdict, path=(), bonus=0)


@dataclass(frozen=True, kw_only=True)
class Claimed(NeverStrict):
    """Says that it is lossless."""

    lossless: ClassVar[bool] = True
    strict: ClassVar[Mapping[str, Any]] = {"margin": 0.0}


@dataclass(frozen=True, kw_only=True)
class Biased(Sampling):
    """Accepts too much."""

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        whole = None if draft.probs_NW is None else draft.probs_NW / 1.05
        return super().verify(replace(draft, probs_NW=whole), output, context, random)


# Schedules -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Padded(Sequential):
    """Says that it drafted a token more than it did."""

    def decode(self, session: Session, draft: DraftSession | None) -> None:
        assert draft is not None
        while not session.generation.finish:
            proposed = draft.propose(tokens=session.generation.tokens, gamma=session.gamma, **session.take_news()).draft
            session.add(proposed, session.verify(proposed), proposed=len(proposed.tokens_N) + 1)
