"""Drafts that put things otherwise than their targets do: ``python -m experiments.lvspec.other_words``

The bundled drafts were taught the same sentences as their targets, so what they get wrong is nearly always a fact of
the video. A large model's draft also differs in wording, and there a loose rule can be loose without loss. This trains
the bundled drafts a little further, on the same scenes with the odds of all wordings turned round, and writes them to
FOLDER/FAMILY: ``draft.path=FOLDER/FAMILY``.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText

from experiments.common import FAMILIES
from vsd.zoo import WEIGHTS, recipe, texts, train

PEAK = 5e-4  # learning rate
log = logging.getLogger(__name__)


def other_words(family: str, out: Path, *, steps: int, batch: int) -> None:
    """Train one bundled draft for `steps` more steps on turned wordings and write it to `out`/`family`."""
    processor = recipe.build_processor(family)
    prompt = train.Prompter(processor, family)
    model = AutoModelForImageTextToText.from_pretrained(WEIGHTS / family / "draft", dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK, total_steps=steps + 1, pct_start=0.1)
    for step in range(steps):
        rng = np.random.default_rng([step, 13])
        examples = train.make_batch(family, "draft", prompt, batch, rng, odds=texts.ODDS[::-1])
        loss, _ = train.loss_of(model, None, family, processor, prompt, examples)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            log.info("%s step %d loss %.4f", family, step, loss.item())
    train.export(model, processor, out / family)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: both")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("outputs/other_words"), metavar="FOLDER")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(0)
    for family in args.family or FAMILIES:
        other_words(family, args.out, steps=args.steps, batch=args.batch)


if __name__ == "__main__":
    main()
