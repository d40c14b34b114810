"""How a language model learns to answer: from the features of a finished tower, on pruned prompts and full ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsd.zoo.small_events.habits import TARGET, Habit
from vsd.zoo.training.batches import BATCH_TOKENS, Batch, Batches
from vsd.zoo.training.family import Family
from vsd.zoo.training.lessons import LESSONS, Lesson, lesson_at
from vsd.zoo.training.models import processor_of
from vsd.zoo.training.prompts import IGNORED, Prompter
from vsd.zoo.training.run import Shares
from vsd.zoo.training.statements import StatementHeads
from vsd.zoo.training.store import Store
from vsd.zoo.training.words import Facts

FACT_WEIGHT = 3.0
"""Of a fact's word in the loss; wording, which cannot be known, has 1."""
_HEADS_WEIGHT = 0.4
_SHORTER = -0.75  # a token's weight is its answer's length to this power: 0 is a mean over tokens, -1 over answers


class SpeakingStage:
    """`model` has a finished tower, whose weights stay; `heads` are the layers that must state the facts, from 1 on. A
    batch is of clips from `store` and has about `batch_tokens`."""

    def __init__(
        self,
        family: Family,
        model: Any,
        *,
        peak: float,
        heads: Sequence[int],
        habit: Habit = TARGET,
        lessons: tuple[Lesson, ...] = LESSONS,
        seed: int = 0,
        store: Store,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        self.peak, self._lessons = peak, lessons
        self._family, self._model, self._seed = family, model, seed
        family.tower(model).requires_grad_(False)
        processor: Any = processor_of(family)
        self._prompter = Prompter(processor)
        self._facts = Facts(processor.tokenizer)
        self._store = store
        behind = len(family.closing(model))
        self._batches = Batches(family, self._prompter, self._store, behind=behind, habit=habit, tokens=batch_tokens)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = {str(layer): StatementHeads(model.config.text_config.hidden_size) for layer in heads}
        self.parts = nn.ModuleDict({"model": model, "heads": nn.ModuleDict(made).to(model.device)})
        self._weight_W = torch.ones(model.config.text_config.vocab_size, device=model.device)
        self._weight_W[self._facts.tokens] = FACT_WEIGHT

    def draw(self, step: int, spent: float) -> Batch:
        self._store.advance(step)
        rng = np.random.default_rng([self._seed, step, 5])
        return self._batches.draw(lesson_at(spent, self._lessons), rng)

    def loss(self, drawn: Batch) -> tuple[Tensor, Shares]:
        """The answers' mean cross-entropy, facts weighted, and that of the heads; and which facts are right. Tokens of
        short answers count more, else the few words of "green" or "D" would be lost among descriptions."""
        batch = drawn.to(self._model.device)
        heads: Any = self.parts["heads"]
        states = self.states(batch)
        labelled = batch.labels_BS != IGNORED
        logits = self._model.lm_head(states[-1][labelled])
        labels = batch.labels_BS[labelled]
        weight_X = self._weight_W[labels] * (labelled.sum(-1, keepdim=True) ** _SHORTER).expand_as(labelled)[labelled]
        said = (weight_X * cross_entropy(logits, labels, reduction="none")).sum() / weight_X.sum()
        shares = self._right(batch, logits.argmax(-1)) | {"said": said.item()}
        if not len(heads):
            return said, shares
        stating = (batch.stated_BSF != IGNORED).any(-1)
        stated = [head.loss(states[int(layer)][stating], batch.stated_BSF[stating]) for layer, head in heads.items()]
        heads_loss = torch.stack(stated).mean()
        return said + _HEADS_WEIGHT * heads_loss, shares | {"stated": heads_loss.item()}

    def states(self, batch: Batch) -> list[Tensor]:
        """The states (B, S, D) of the text behind the video after each layer, and behind the last norm."""
        embed = self._model.get_input_embeddings()
        before = embed(torch.tensor(self._prompter.before, device=embed.weight.device))
        parts = (before, self._family.closing(self._model))
        front, closing = (part.expand(len(batch.text_BS), -1, -1) for part in parts)
        positions = batch.positions_BPT.transpose(0, 1)
        output = self._model.model.language_model(
            inputs_embeds=torch.cat((front, batch.features_BKD, closing, embed(batch.text_BS)), 1),
            position_ids=positions if len(positions) > 1 else positions[0],
            # Padding stands on the right, so causality alone hides it. Handing over the mask also keeps the library
            # from reading the gaps of dropped positions as borders of packed sequences.
            attention_mask={"full_attention": None},
            use_cache=False,
            output_hidden_states=True,
        )
        width = batch.text_BS.shape[1]
        return [hidden[:, -width:] for hidden in (*output.hidden_states[:-1], output.last_hidden_state)]

    @torch.no_grad()
    def _right(self, batch: Batch, best_X: Tensor) -> Shares:
        """The share of facts whose word is the likeliest one, by kind and over all kinds."""
        labelled = batch.labels_BS != IGNORED
        labels = batch.labels_BS[labelled].tolist()
        right: dict[str, list[bool]] = {}
        for kind, label, best in zip(self._facts.kinds(labels), labels, best_X.tolist(), strict=True):
            if kind is not None:
                right.setdefault(kind, []).append(label == best)
        everything = [hit for hits in right.values() for hit in hits]
        shares = {"facts": everything, **right} if not batch.full else {"facts, full": everything}
        return {name: float(np.mean(hits)) for name, hits in shares.items() if hits}
