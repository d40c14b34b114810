"""What a model costs to run, from its shape: weights, cache rows and arithmetic, without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Tower:
    """A vision tower: the weights of its layers, and how many patches it reads for a visual token of the prompt."""

    weights: float
    patches: float


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A text model of Qwen2's form (grouped heads, gated MLP, no biases counted) and its vision tower."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocab: int
    tower: Tower

    @property
    def head(self) -> int:
        """Size of a head."""
        return self.width // self.heads

    @property
    def body(self) -> int:
        """Weights of all layers."""
        attention = 2 * self.width * self.width + 2 * self.width * self.kv_heads * self.head
        return self.layers * (attention + 3 * self.width * self.inner)

    @property
    def lm_head(self) -> int:
        """Weights of the output layer. Tied or not, every step reads them; the input embeddings are looked up."""
        return self.vocab * self.width

    @property
    def kv(self) -> int:
        """Numbers in a cache row: keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head


_QWEN = Tower(0.63e9, 4)  # 32 layers of width 1280, gated MLP of 3420; 2 x 2 patches are merged
_SIGLIP = Tower(0.41e9, 729 / 196)  # 27 layers of width 1152, MLP of 4304; 27 x 27 patches are pooled to 14 x 14
_7B = partial(Shape, layers=28, width=3584, heads=28, kv_heads=4, inner=18944)
_72B = partial(Shape, layers=80, width=8192, heads=64, kv_heads=8, inner=29568)

# By the names of conf/target. From the checkpoints' config.json.
SHAPES: dict[str, Shape] = {
    "llava_ov_0_5b": Shape(layers=24, width=896, heads=14, kv_heads=2, inner=4864, vocab=152000, tower=_SIGLIP),
    "llava_ov_7b": _7B(vocab=152128, tower=_SIGLIP),
    "llava_ov_72b": _72B(vocab=152128, tower=_SIGLIP),
    "qwen2_5_vl_3b": Shape(layers=36, width=2048, heads=16, kv_heads=2, inner=11008, vocab=151936, tower=_QWEN),
    "qwen2_5_vl_7b": _7B(vocab=152064, tower=_QWEN),
    "qwen2_5_vl_32b": Shape(layers=64, width=5120, heads=40, kv_heads=8, inner=27648, vocab=152064, tower=_QWEN),
    "qwen2_5_vl_72b": _72B(vocab=152064, tower=_QWEN),
}


def shape(name: str, *, field: str = "target") -> Shape:
    """The shape of that name, or of a checkpoint: a folder, a hub name or `zoo:family/role`, of which only the
    configuration is read. Raises ValueError if there is none."""
    if name in SHAPES:
        return SHAPES[name]
    from transformers import AutoConfig

    from vsd.models.checkpoint import resolve
    from vsd.utils.validation import first_line

    try:
        return from_config(AutoConfig.from_pretrained(resolve(name, field=field)))
    except (OSError, ValueError, AttributeError) as error:
        known = ", ".join(SHAPES)
        reason = first_line(error)
        raise ValueError(f"{field}: must be a checkpoint or one of {known}, got {name!r} ({reason})") from error


def from_config(config: Any) -> Shape:
    """The shape that a checkpoint's configuration says. Raises AttributeError for another family."""
    text, vision = config.text_config, config.vision_config
    gated = config.model_type == "qwen2_5_vl"
    depth = vision.depth if gated else vision.num_hidden_layers
    layer = 4 * vision.hidden_size**2 + (3 if gated else 2) * vision.hidden_size * vision.intermediate_size
    side = 1 if gated else vision.image_size // vision.patch_size
    return Shape(
        layers=text.num_hidden_layers,
        width=text.hidden_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        inner=text.intermediate_size,
        vocab=text.vocab_size,
        tower=Tower(depth * layer, vision.spatial_merge_size**2 if gated else (side / -(-side // 2)) ** 2),
    )
