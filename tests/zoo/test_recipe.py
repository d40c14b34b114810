"""The recipe: the models learn on the very prompts they will be asked with, and what the tower is taught is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vsd.models.llava_onevision import LlavaOneVision
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.types import Video
from vsd.zoo import recipe, shapes, texts, train, vision

ADAPTERS = {"qwen2_5_vl": Qwen25VL, "llava_onevision": LlavaOneVision}


@pytest.mark.parametrize("family", recipe.FAMILIES)
@pytest.mark.parametrize("dropped", [0.0, 0.5])
def test_training_sees_what_the_engine_sees(family, dropped, monkeypatch):
    monkeypatch.setattr(train, "SEEN_WEIGHT", 0.0)  # the answer's loss alone
    torch.manual_seed(0)
    processor = recipe.build_processor(family)
    model = recipe.build_model(family, "draft", processor.tokenizer).eval()
    for weight in model.parameters():  # as trained ones are: freshly made, they hardly look at what stands where
        weight.data.mul_(5.0 if weight.ndim > 1 else 1.0)
    prompt = train.Prompter(processor, family)
    prompt.fact_words = []  # every token counts alike, so that the loss is a mean of log-probabilities
    scene, frames = shapes.scene(1), 8
    times = (np.arange(frames) + 0.5) / frames
    clip = torch.from_numpy(shapes.render(scene, times)).permute(0, 3, 1, 2)
    answer = texts.describe(scene, np.random.default_rng(0))
    ids, labels = prompt(texts.DESCRIBE, answer)
    visual = train.visual_tokens(family, frames)
    kept = torch.arange(visual)[: int(visual * (1 - dropped))]
    shown, offsets = vision.cell_labels(scene, times.reshape(-1, train.FRAMES_PER_TOKEN[family]).mean(1))
    batch = train.Batch(
        [clip], frames / shapes.SECONDS, kept[None], torch.tensor([ids]), torch.tensor([labels]),
        torch.from_numpy(shown)[None], torch.from_numpy(offsets)[None],
    )  # fmt: skip
    heads = vision.Heads(model.get_input_embeddings().embedding_dim)
    taught = train.loss_of(model, heads, family, processor, prompt, batch)[0].detach()

    adapter = ADAPTERS[family](model, processor, name=family, rope="library")  # what the recipe teaches
    video = Video(frames=clip.permute(0, 2, 3, 1).numpy(), seconds=times * shapes.SECONDS)
    asked = adapter.encode(video, texts.DESCRIBE).keep(kept)
    tokens = [*processor.tokenizer(answer)["input_ids"], processor.tokenizer.eos_token_id]
    state, first_W, _ = adapter.prefill(asked, capacity=asked.length + len(tokens))
    logits = adapter.forward(torch.tensor(tokens[:-1]), range(-1, len(tokens) - 2), state).logits_MW
    seen = torch.nn.functional.cross_entropy(torch.cat([first_W[None], logits]), torch.tensor(tokens))
    torch.testing.assert_close(taught, seen, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", recipe.FAMILIES)
def test_a_visual_token_is_asked_what_it_shows_itself(family):
    """The middle layer's states of the kept tokens go with the labels of these very tokens."""
    torch.manual_seed(0)
    processor = recipe.build_processor(family)
    model = recipe.build_model(family, "draft", processor.tokenizer).eval()
    prompt = train.Prompter(processor, family)
    batch = train.make_batch(family, "draft", prompt, 2, np.random.default_rng(0), train.LESSONS[0])
    kept_BK = torch.tensor([[3, 9, 40], [1, 2, 33]])
    asked = []

    class Heads(vision.Heads):
        def loss(self, features_XD, labels, offsets):
            asked.append((features_XD, labels, offsets))
            return super().loss(features_XD, labels, offsets)

    heads, states = Heads(model.get_input_embeddings().embedding_dim), []
    middle = model.model.language_model.layers[model.config.text_config.num_hidden_layers // 2 - 1]
    hook = middle.register_forward_hook(
        lambda _, __, output: states.append(output[0] if isinstance(output, tuple) else output)
    )
    loss, _ = train.loss_of(model, heads, family, processor, prompt, replace(batch, kept_BK=kept_BK))
    hook.remove()
    ((features_XD, labels, offsets),) = asked
    start = len(prompt.prefix)
    torch.testing.assert_close(features_XD, states[0][:, start : start + 3].flatten(0, 1))
    rows = torch.tensor([0, 0, 0, 1, 1, 1])
    assert torch.equal(labels, batch.shown_BVK[rows, kept_BK.flatten()])
    torch.testing.assert_close(offsets, batch.offsets_BV2[rows, kept_BK.flatten()], equal_nan=True)
    assert loss.isfinite()


def test_tokens_that_show_no_shape_are_a_number_too():
    heads = vision.Heads(8)
    labels = torch.tensor([[0, 0, 0, 0, 1, 2]])
    loss, right = heads.loss(torch.zeros(1, 8), labels, torch.full((1, 2), torch.nan))
    assert loss.isfinite()
    assert all(np.isfinite(list(right.values())))


def test_cells_are_labelled_by_the_shape_that_covers_them():
    scene = shapes.scene(3)
    labels, offsets = vision.cell_labels(scene, np.array([0.5]))
    side = shapes.SIDE // vision.CELL
    grid = labels.reshape(side, side, -1)
    for shape in scene.shapes:
        row, column = (round(p / vision.CELL - 0.5) for p in reversed(shapes.centre(shape, 0.5)))
        quadrant = grid[row // 2 * 2 : row // 2 * 2 + 2, column // 2 * 2 : column // 2 * 2 + 2]
        assert 1 + vision.KINDS["colour"].index(shape.colour) in quadrant[..., 0]
        assert 1 + vision.KINDS["motion"].index(shape.motion) in quadrant[..., 3]
    assert ((labels[:, 0] > 0) == ~np.isnan(offsets[:, 0])).all()
    assert np.nanmax(np.abs(offsets)) < 1.5


def test_a_training_run_goes_on_where_it_stopped(tmp_path):
    def trained(out, **how):
        train.train("qwen2_5_vl", "draft", steps=3, batch=2, device="cpu", out=tmp_path / out, **how)
        return (tmp_path / out / "qwen2_5_vl/draft/model.safetensors").read_bytes()

    steps, train.VISION_STEPS = train.VISION_STEPS, {"draft": 2}
    try:
        whole = trained("whole", work=tmp_path / "a", stop=0)
        trained("first", work=tmp_path / "b", stop=2)
        assert trained("rest", work=tmp_path / "b", stop=0) == whole
    finally:
        train.VISION_STEPS = steps
