"""The recipe of the bundled models: ``python -m vsd.zoo.train [--family F] [--role R] [--steps N]``.

Every batch is rendered on the fly from its step number, so a run that was stopped goes on from its last saved state
with the batches it would have seen. A random share of the visual tokens is dropped, positions kept: large models
tolerate pruned prompts untrained, small ones have to be shown some.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsd.zoo import WEIGHTS, recipe, shapes, texts

log = logging.getLogger(__name__)
TRAIN_SEEDS = 1_000_000  # scene seeds from here on are for training, below it for the tokenizer and held-out clips
STEPS = {"target": 1400, "draft": 1200}
PEAK = {"target": 2e-3, "draft": 3e-3}  # learning rate


@dataclass(frozen=True)
class Batch:
    """One batch in which every clip has the same number of frames and of kept visual tokens (K)."""

    clips: list[Tensor]  # each (frames, 3, side, side) uint8
    fps: float
    kept_BK: Tensor
    text_BS: Tensor  # tokens after the video, padded on the right
    labels_BS: Tensor  # what follows each of them, -100 where it is not part of the answer


class Prompter:
    """Splits a chat turn into the tokens before the video and those after it."""

    def __init__(self, processor: Any, family: str):
        self.tokenizer = processor.tokenizer
        self.video_id = self.tokenizer.convert_tokens_to_ids(processor.video_token)
        self.processor = processor
        self.prefix = self._ids("?")[0]

    def _ids(self, question: str) -> tuple[list[int], list[int]]:
        content = [{"type": "video"}, {"type": "text", "text": question}]
        turn = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        ids = self.tokenizer(turn)["input_ids"]
        cut = ids.index(self.video_id)
        return ids[:cut], ids[cut + 1 :]

    def __call__(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        """Tokens after the video (question, then answer) and their labels."""
        asked = self._ids(question)[1]
        answered = [*self.tokenizer(answer)["input_ids"], self.tokenizer.eos_token_id]
        return asked + answered[:-1], [-100] * (len(asked) - 1) + answered


def visual_tokens(family: str, frames: int) -> int:
    per_frame = (shapes.SIDE // 28) ** 2
    return per_frame * (frames // 2 if family == "qwen2_5_vl" else frames)


def draw_frames(family: str, rng: np.random.Generator) -> int:
    """8 to 32 frames, mostly few: the cost of a step grows with them."""
    odds = [0.54, 0.40, 0.03, 0.03] if family == "qwen2_5_vl" else [0.68, 0.26, 0.03, 0.03]
    return int(rng.choice([8, 16, 24, 32], p=odds))


def make_batch(family: str, role: str, prompt: Prompter, size: int, rng: np.random.Generator) -> Batch:
    frames = draw_frames(family, rng)
    times = (np.arange(frames) + 0.5) / frames
    visual = visual_tokens(family, frames)
    dropped = 0.0 if rng.random() < (0.55 if role == "target" else 0.3) else rng.uniform(0, 0.97)
    keep = max(1, int(visual * (1 - dropped)))
    clips, rows = [], []
    for _ in range(size):
        scene = shapes.scene(TRAIN_SEEDS + int(rng.integers(1 << 40)))
        pixels = shapes.render(scene, times) + rng.normal(0, 3, (frames, shapes.SIDE, shapes.SIDE, 1)).astype(
            np.float32
        )
        clips.append(torch.from_numpy(np.clip(pixels, 0, 255).astype(np.uint8)).permute(0, 3, 1, 2))
        question = texts.ask(scene, rng)
        described = rng.random() < 0.85
        rows.append(prompt(texts.DESCRIBE, texts.describe(scene, rng)) if described else prompt(*question[:2]))
    kept = np.stack([np.sort(rng.permutation(visual)[:keep]) for _ in range(size)])
    width = max(len(ids) for ids, _ in rows)
    text = torch.zeros(size, width, dtype=torch.long)
    labels = torch.full((size, width), -100)
    for row, (ids, label) in enumerate(rows):
        text[row, : len(ids)] = torch.tensor(ids)
        labels[row, : len(label)] = torch.tensor(label)
    return Batch(clips, frames / shapes.SECONDS, torch.from_numpy(kept), text, labels)


def visual_features(model: Any, family: str, processor: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Projected grid tokens (B, V, D), and off-grid visual tokens that are never dropped (B, 0 or 1, D)."""
    device = next(model.parameters()).device
    pixels = processor.video_processor(batch.clips, do_sample_frames=False, return_tensors="pt").to(device)
    if family == "qwen2_5_vl":
        features = model.model.get_video_features(**pixels).pooler_output
        grid = torch.stack(tuple(features))
        return grid, grid[:, :0]
    features = model.model.get_video_features(**pixels, vision_feature_layer=-1, vision_feature_select_strategy="full")
    return features.pooler_output[:, :-1], features.pooler_output[:, -1:]


def positions(family: str, model: Any, prefix: int, batch: Batch, visual: int) -> tuple[Tensor, Tensor, int]:
    """Positions of the prefix (P, prefix), of all grid tokens (P, V), and the first one after them."""
    if family != "qwen2_5_vl":
        axis = torch.arange(prefix + visual)[None]
        return axis[:, :prefix], axis[:, prefix:], prefix + visual
    side = shapes.SIDE // 28
    grid = torch.tensor([[visual // side**2, 2 * side, 2 * side]])
    video = model.config.video_token_id
    ids = torch.full((1, prefix + visual), video)
    types = torch.full_like(ids, 2, dtype=torch.int)
    types[:, :prefix] = 0
    found, _ = model.model.get_rope_index(
        ids, types, video_grid_thw=grid, second_per_grid_ts=torch.tensor([2 / batch.fps])
    )
    return found[:, 0, :prefix], found[:, 0, prefix:], int(found.max()) + 1


def loss_of(model: Any, family: str, processor: Any, prompt: Prompter, batch: Batch) -> Tensor:
    """Mean cross-entropy over the answer's tokens."""
    grid_BVD, extra_BED = visual_features(model, family, processor, batch)
    device, rows = grid_BVD.device, len(batch.clips)
    embed = model.get_input_embeddings()
    prefix = embed(torch.tensor(prompt.prefix, device=device)).expand(rows, -1, -1)
    kept_BK = batch.kept_BK.to(device)
    seen = grid_BVD.gather(1, kept_BK[..., None].expand(-1, -1, grid_BVD.shape[-1]))
    text = embed(batch.text_BS.to(device))
    before, visual, after = positions(family, model, prefix.shape[1], batch, grid_BVD.shape[1])
    tail = torch.arange(extra_BED.shape[1] + text.shape[1]) + after
    place = torch.cat(
        [before[:, None].expand(-1, rows, -1), visual[:, batch.kept_BK], tail.expand(before.shape[0], rows, -1)], dim=-1
    ).to(device)
    hidden = model.model.language_model(
        inputs_embeds=torch.cat([prefix, seen, extra_BED, text], dim=1),
        position_ids=place if place.shape[0] == 3 else place[0],
        # Padding stands on the right, so causality alone hides it. Handing over the mask also keeps the library from
        # reading the gaps of dropped positions as borders of packed sequences.
        attention_mask={"full_attention": None},
        use_cache=False,
    ).last_hidden_state[:, -text.shape[1] :]
    labels = batch.labels_BS.to(device)
    answer = labels != -100
    return nn.functional.cross_entropy(model.lm_head(hidden[answer]), labels[answer])


def export(model: Any, processor: Any, folder: Path) -> None:
    """Writes a checkpoint as any model hub holds it: half-precision weights, tokenizer, processor, chat template."""
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.half().save_pretrained(folder)
    model.float()
    processor.save_pretrained(folder)


class Run:
    """A model in training with its optimizer, schedule and step, saved to and restored from one file."""

    def __init__(self, model: Any, peak: float, steps: int, file: Path):
        self.model, self.file, self.step = model, file, 0
        matrices = [p for p in model.parameters() if p.ndim > 1]
        vectors = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=peak, total_steps=steps + 1, pct_start=0.1
        )
        if file.exists():
            saved = torch.load(file, map_location=next(model.parameters()).device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            self.step = saved["step"]

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()} | {"step": self.step}
        torch.save(state, self.file.with_suffix(".new"))
        self.file.with_suffix(".new").replace(self.file)

    def learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1


def train(family: str, role: str, *, steps: int, batch: int, device: str, work: Path, out: Path, stop: int) -> None:
    """Trains one model to `steps` (or until `stop`), saving state in `work`, and exports it to `out`/family/role."""
    torch.manual_seed(0)
    work.mkdir(parents=True, exist_ok=True)
    processor = recipe.build_processor(family)
    prompt = Prompter(processor, family)
    model = recipe.build_model(family, role, processor.tokenizer).to(device).train()  # type: ignore[arg-type]
    run = Run(model, PEAK[role], steps, work / f"{family}-{role}.pt")
    began, losses = time.monotonic(), []
    while run.step < min(steps, stop or steps):
        rng = np.random.default_rng([run.step, 11])
        loss = loss_of(model, family, processor, prompt, make_batch(family, role, prompt, batch, rng))
        run.learn(loss)
        losses.append(loss.item())
        if run.step % 20 == 0:
            row = {
                "step": run.step,
                "loss": round(float(np.mean(losses[-20:])), 4),
                "s": round(time.monotonic() - began),
            }
            log.info("%s %s %s", family, role, json.dumps(row))
        if run.step % 100 == 0:
            run.save()
    run.save()
    export(model.cpu(), processor, out / family / role)


def main(argv: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=recipe.FAMILIES, action="append", help="default: both")
    parser.add_argument("--role", choices=recipe.ROLES, action="append", help="default: both")
    parser.add_argument("--steps", type=int, help=f"default: {STEPS}")
    parser.add_argument("--stop", type=int, default=0, help="stop (and export) after this step; go on later")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/zoo"), help="where training state is kept")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where checkpoints are written")
    args = parser.parse_args(argv if argv is None else list(argv))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for role in args.role or recipe.ROLES:
        for family in args.family or recipe.FAMILIES:
            train(family, role, steps=args.steps or STEPS[role], batch=args.batch, device=args.device,
                  work=args.work, out=args.out, stop=args.stop)  # fmt: skip


if __name__ == "__main__":
    main()
