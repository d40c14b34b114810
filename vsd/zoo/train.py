"""The recipe of the bundled models: ``python -m vsd.zoo.train [--family F] [--role R] [--steps N]``.

Every batch is rendered on the fly from its step number, so a run that was stopped goes on from its last saved state
with the batches it would have seen. A random share of the visual tokens is dropped, positions kept: large models
tolerate pruned prompts untrained, small ones have to be shown some. Lessons go from easy to hard (`LESSONS`): finding
one shape has to be learnt before finding the right one of four, and few frames make the first lessons cheap. Half way
up, the visual tokens also have to say what they show (`vision.Heads`): a description holds one word about a motion,
its clip hundreds of tokens that have seen it.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vsd.zoo import WEIGHTS, recipe, shapes, texts, vision

log = logging.getLogger(__name__)
TRAIN_SEEDS = 1_000_000  # scene seeds from here on are for training, below it for the tokenizer and held-out clips
STEPS = {"target": 1800, "draft": 1000}
VISION_STEPS = {"target": 1500, "draft": 800}
PEAK = {"target": 2e-3, "draft": 3e-3}  # learning rate
SEEN_WEIGHT = 0.2  # of what the visual tokens say they show, beside the answer's loss
FACT_WEIGHT = 3.0  # of a fact's word in the loss; a filler word, which cannot be known, has 1
FRAMES_PER_TOKEN = {"qwen2_5_vl": 2, "llava_onevision": 1}


class Lesson(NamedTuple):
    """What batches hold until `until` (a share of all steps): at most `shapes` a clip; few frames and all tokens, or
    8 to 32 frames and a random share dropped."""

    until: float
    shapes: int
    full: bool


LESSONS = (Lesson(0.15, 1, False), Lesson(0.25, 2, False), Lesson(1.0, 4, True))


@dataclass(frozen=True)
class Batch:
    """One batch in which every clip has the same number of frames and of kept visual tokens (K)."""

    clips: list[Tensor]  # each (frames, 3, side, side) uint8
    fps: float
    kept_BK: Tensor
    text_BS: Tensor  # tokens after the video, padded on the right
    labels_BS: Tensor  # what follows each of them, -100 where it is not part of the answer
    shown_BVK: Tensor  # what each visual token shows, kept or not, of every kind in vision.KINDS
    offsets_BV2: Tensor  # where the shape that it shows has its centre


class Prompter:
    """Splits a chat turn into the tokens before the video and those after it."""

    def __init__(self, processor: Any, family: str):
        self.tokenizer = processor.tokenizer
        self.video_id = self.tokenizer.convert_tokens_to_ids(processor.video_token)
        self.processor = processor
        self.prefix = self._ids("?")[0]
        facts = " ".join([*texts.NUMBERS, *texts.MOVES.values(), *shapes.PLACES, *shapes.COLOURS, *shapes.SHAPES])
        looks = " ".join([*shapes.SIZES, *shapes.TEXTURES, *shapes.TONES])
        self.fact_words = sorted(set(self.tokenizer(f" {facts} {looks}")["input_ids"]))

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
    return (shapes.SIDE // vision.CELL) ** 2 * frames // FRAMES_PER_TOKEN[family]


def lesson_at(progress: float) -> Lesson:
    return next(lesson for lesson in LESSONS if progress < lesson.until)


def draw_size(family: str, role: str, lesson: Lesson, rng: np.random.Generator) -> tuple[int, int]:
    """Frames (8 to 32, mostly few: the cost of a step grows with them) and the number of visual tokens kept."""
    if not lesson.full:
        return 8, visual_tokens(family, 8)
    odds = [0.54, 0.40, 0.03, 0.03] if family == "qwen2_5_vl" else [0.68, 0.26, 0.03, 0.03]
    frames = int(rng.choice([8, 16, 24, 32], p=odds))
    dropped = 0.0 if rng.random() < (0.55 if role == "target" else 0.3) else rng.uniform(0, 0.97)
    return frames, max(1, int(visual_tokens(family, frames) * (1 - dropped)))


def draw_scene(lesson: Lesson, rng: np.random.Generator) -> shapes.Scene:
    while True:
        scene = shapes.scene(TRAIN_SEEDS + int(rng.integers(1 << 40)))
        if len(scene.shapes) <= lesson.shapes:
            return scene


def draw_clip(scene: shapes.Scene, times: np.ndarray, rng: np.random.Generator) -> Tensor:
    """(frames, 3, side, side) uint8, with the grain that a video codec leaves."""
    grain = rng.normal(0, 3, (len(times), shapes.SIDE, shapes.SIDE, 1)).astype(np.float32)
    pixels = np.clip(shapes.render(scene, times) + grain, 0, 255).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def make_batch(
    family: str,
    role: str,
    prompt: Prompter,
    size: int,
    rng: np.random.Generator,
    lesson: Lesson = LESSONS[-1],
    odds: Sequence[float] = texts.ODDS,
) -> Batch:
    """Clips, questions and answers of one step; `odds` are those of the wordings (see `texts.describe`)."""
    frames, keep = draw_size(family, role, lesson, rng)
    times = (np.arange(frames) + 0.5) / frames
    clips, rows, shown = [], [], []
    for _ in range(size):
        scene = draw_scene(lesson, rng)
        clips.append(draw_clip(scene, times, rng))
        shown.append(vision.cell_labels(scene, times.reshape(-1, FRAMES_PER_TOKEN[family]).mean(1)))
        described = rng.random() < 0.85
        question = texts.ask(scene, rng)
        rows.append(prompt(texts.DESCRIBE, texts.describe(scene, rng, odds)) if described else prompt(*question[:2]))
    kept = np.stack([np.sort(rng.permutation(visual_tokens(family, frames))[:keep]) for _ in range(size)])
    width = max(len(ids) for ids, _ in rows)
    text = torch.zeros(size, width, dtype=torch.long)
    labels = torch.full((size, width), -100)
    for row, (ids, label) in enumerate(rows):
        text[row, : len(ids)] = torch.tensor(ids)
        labels[row, : len(label)] = torch.tensor(label)
    seen, offsets = (torch.from_numpy(np.stack(part)) for part in zip(*shown, strict=True))
    return Batch(clips, frames / shapes.SECONDS, torch.from_numpy(kept), text, labels, seen, offsets)


def visual_features(model: Any, family: str, processor: Any, clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Projected grid tokens (B, V, D), and off-grid visual tokens that are never dropped (B, 0 or 1, D)."""
    device = next(model.parameters()).device
    pixels = processor.video_processor(clips, do_sample_frames=False, return_tensors="pt").to(device)
    if family == "qwen2_5_vl":
        features = model.model.get_video_features(**pixels).pooler_output
        grid = torch.stack(tuple(features))
        return grid, grid[:, :0]
    features_BXD = model.model.get_video_features(
        pixels["pixel_values_videos"], vision_feature_layer=-1, vision_feature_select_strategy="full"
    ).pooler_output
    newline_B1D = model.model.image_newline.expand(len(clips), 1, -1)
    # transformers before 5.23 appends the newline elsewhere
    return features_BXD[:, : visual_tokens(family, len(clips[0]))], newline_B1D


def positions(family: str, model: Any, prefix: int, batch: Batch, visual: int) -> tuple[Tensor, Tensor, int]:
    """Positions of the prefix (P, prefix), of all grid tokens (P, V), and the first one after them: as the installed
    transformers has them, so what is taught here is asked with `rope=library`."""
    if family != "qwen2_5_vl":
        axis = torch.arange(prefix + visual)[None]
        return axis[:, :prefix], axis[:, prefix:], prefix + visual
    side = shapes.SIDE // vision.CELL
    grid = torch.tensor([[visual // side**2, 2 * side, 2 * side]])
    video = model.config.video_token_id
    ids = torch.full((1, prefix + visual + 1), video)
    types = torch.full_like(ids, 2, dtype=torch.int)
    types[:, :prefix] = types[:, -1] = 0  # one word of text behind the video tells where the others begin
    found, _ = model.model.get_rope_index(
        ids, types, video_grid_thw=grid, second_per_grid_ts=torch.tensor([2 / batch.fps])
    )
    return found[:, 0, :prefix], found[:, 0, prefix:-1], int(found[0, 0, -1])


def loss_of(
    model: Any, heads: vision.Heads | None, family: str, processor: Any, prompt: Prompter, batch: Batch
) -> tuple[Tensor, dict[str, float]]:
    """Mean cross-entropy over the answer's tokens, facts weighted, plus, with `heads`, that of what the kept visual
    tokens say they show; and the share right of each kind of the latter."""
    grid_BVD, extra_BED = visual_features(model, family, processor, batch.clips)
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
    output = model.model.language_model(
        inputs_embeds=torch.cat([prefix, seen, extra_BED, text], dim=1),
        position_ids=place if place.shape[0] == 3 else place[0],
        # Padding stands on the right, so causality alone hides it. Handing over the mask also keeps the library from
        # reading the gaps of dropped positions as borders of packed sequences.
        attention_mask={"full_attention": None},
        use_cache=False,
        output_hidden_states=True,
    )
    hidden = output.last_hidden_state[:, -text.shape[1] :]
    labels = batch.labels_BS.to(device)
    answer = labels != -100
    logits = model.lm_head(hidden[answer])
    weight_W = torch.ones(logits.shape[-1], device=device)
    weight_W[prompt.fact_words] = FACT_WEIGHT
    said = nn.functional.cross_entropy(logits, labels[answer], weight=weight_W)
    if heads is None:
        return said, {}
    middle = output.hidden_states[model.config.text_config.num_hidden_layers // 2]
    tokens = middle[:, prefix.shape[1] : prefix.shape[1] + kept_BK.shape[1]]
    row = torch.arange(rows)[:, None]
    shown, offsets = (
        part[row, batch.kept_BK].to(device).flatten(0, 1) for part in (batch.shown_BVK, batch.offsets_BV2)
    )
    seen_loss, right = heads.loss(tokens.flatten(0, 1), shown, offsets)
    return said + SEEN_WEIGHT * seen_loss, right


def export(model: Any, processor: Any, folder: Path) -> None:
    """Writes a checkpoint as any model hub holds it: half-precision weights, tokenizer, processor, chat template."""
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.half().save_pretrained(folder)
    model.float()
    processor.save_pretrained(folder)


class Run:
    """A model in training with its optimizer, schedule and step, saved to and restored from one file."""

    def __init__(self, model: Any, heads: vision.Heads, peak: float, steps: int, file: Path):
        self.model, self.heads, self.file, self.step = model, heads, file, 0
        self.parameters = [*model.parameters(), *heads.parameters()]
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim <= 1]
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
        return {"model": self.model, "heads": self.heads, "optimizer": self.optimizer, "schedule": self.schedule}

    def save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()} | {"step": self.step}
        torch.save(state, self.file.with_suffix(".new"))
        self.file.with_suffix(".new").replace(self.file)

    def learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1


def learn_to_see(model: Any, family: str, role: str, processor: Any, size: int) -> None:
    """Pretrains the vision tower on clips of 4 of the 8 to 32 frames that the model will see."""

    def draw(step: int) -> tuple[list[Tensor], list[shapes.Scene], np.ndarray]:
        rng = np.random.default_rng([step, 12])
        scenes = [draw_scene(LESSONS[-1], rng) for _ in range(size)]
        frames = int(rng.choice([8, 16, 32]))
        first = int(rng.integers(frames // 2 - 1)) * 2
        chosen = slice(first, first + 4)
        times = (np.arange(frames) + 0.5) / frames
        return [draw_clip(scene, times[chosen], rng) for scene in scenes], scenes, times[chosen]

    vision.pretrain(
        model,
        lambda clips: visual_features(model, family, processor, clips)[0],
        draw,
        steps=VISION_STEPS[role],
        frames_per_token=FRAMES_PER_TOKEN[family],
    )


def train(family: str, role: str, *, steps: int, batch: int, device: str, work: Path, out: Path, stop: int) -> None:
    """Trains one model to `steps` (or until `stop`), saving state in `work`, and exports it to `out`/family/role."""
    torch.manual_seed(0)
    work.mkdir(parents=True, exist_ok=True)
    processor = recipe.build_processor(family)
    prompt = Prompter(processor, family)
    model = recipe.build_model(family, role, processor.tokenizer).to(device).train()  # type: ignore[arg-type]
    file = work / f"{family}-{role}.pt"
    if not file.exists():
        learn_to_see(model, family, role, processor, batch)
    heads = vision.Heads(model.get_input_embeddings().embedding_dim).to(device)
    run = Run(model, heads, PEAK[role], steps, file)
    began, losses = time.monotonic(), []
    while run.step < min(steps, stop or steps):
        rng = np.random.default_rng([run.step, 11])
        lesson = lesson_at(run.step / steps)
        examples = make_batch(family, role, prompt, batch, rng, lesson)
        loss, seen = loss_of(model, heads, family, processor, prompt, examples)
        run.learn(loss)
        losses.append(loss.item())
        if run.step % 20 == 0:
            row = {
                "step": run.step,
                "loss": round(float(np.mean(losses[-20:])), 4),
                "seen": {kind: round(share, 2) for kind, share in seen.items()},
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
