"""A video language model as the engine sees it: encode a video and a question, prefill, and step over tree nodes.

The classes that compute are transformers' own. This module calls their layers directly, with prepared positions
and masks, because at a few tokens per step the work around the arithmetic is what costs time.
"""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, TypedDict, TypeVar, Unpack, get_args

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature
from transformers.video_utils import VideoMetadata

from vsd.evidence.base import Attended
from vsd.evidence.collector import NOTHING, Collector, Taken, Watch
from vsd.models.attention import NAME, Attention
from vsd.models.cache import Buffers, Nodes, State, bucket
from vsd.models.layers import check_full_attention
from vsd.models.placement import devices_of
from vsd.models.prefill import Prefill
from vsd.models.questions import check_question
from vsd.models.scaling import Viewer
from vsd.models.steps import SPARE_ROWS, Compile, Steps
from vsd.models.vision_key import pixels_key, vision_key
from vsd.types import Grid, Output, Prompt, SampleError, Video
from vsd.utils import distributed
from vsd.utils.clock import Clock
from vsd.utils.faults import of_sample

_T = TypeVar("_T")

Rope = Literal["trained", "library"]
"""Which rotary positions a prompt gets: those that the models of its family were trained with, or those of the
installed transformers, where the two differ."""
ROPES: tuple[Rope, ...] = get_args(Rope)


class Computing(TypedDict, total=False):
    """How a model computes, which its weights do not depend on: see `VideoLM`."""

    compile: Compile
    prefill_chunk: int | None
    attention: Attention


_SPARE_ROWS = 512
_WARM_SIDE = 56


class VideoLM(ABC):
    """One target or draft model with its processor. It holds no state of a sample, so one object may serve as both.

    `vocab` is W, the number of logits returned; `context` the longest sequence the model takes; `eos` the token ids
    that end a generation; `devices` all that hold a part of it. What a prompt needs lies on `device`, the first of
    them; states and logits come back on that of the layer which made them. `ranks` processes share every layer.
    """

    model_type: ClassVar[str]
    """The `model_type` of the checkpoints this adapter reads."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str,
        rope: Rope = "trained",
        max_pixels: int | None = None,
        compile: Compile = "none",
        prefill_chunk: int | None = None,
        attention: Attention = "auto",
    ) -> None:
        """`model` and `processor` as transformers loads them; `rope` is one of ROPES; a frame gets at most `max_pixels`
        pixels (None: what the processor says); `compile` says how decoding passes are computed (see
        `vsd.models.steps`); a prompt is read `prefill_chunk` tokens at a time (None: at once); `attention` says how
        rows attend under a mask (see `vsd.models.attention`). Raises ValueError for sliding-window attention and for a
        bound that the family cannot keep."""
        self.name = name
        self.rope = rope
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self.text: Any = model.model.language_model
        self.text.set_attn_implementation(NAME)
        self._cache_keyword = cache_keyword(self.text)
        config = self.text.config
        check_full_attention(config, name=name, field="model")
        self._frame_options = self.frame_options(processor, max_pixels)
        self.viewer = Viewer(family=type(self), processor=processor, max_pixels=max_pixels)
        self.depth: int = config.num_hidden_layers
        self.context: int = config.max_position_embeddings
        self.vocab: int = config.vocab_size
        self.eos = _eos(model, processor)
        self.groups: int = config.num_attention_heads // config.num_key_value_heads
        self._head_tokens: Tensor | None = None  # those that the head computes; None is all
        self._head_rows: Tensor = model.lm_head.weight
        self.embed: Any = self.text.embed_tokens
        self._video_token: int = model.config.video_token_id
        self.devices = devices_of(model, self.device)
        self.ranks: int = model.tp_size or 1
        self.compile: Compile = compile
        self.prefill_chunk = prefill_chunk
        self.attention: Attention = attention

    # What a family fills in ------------------------------------------------------------------------------------------

    @abstractmethod
    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The projected vision features, one row per video placeholder of the prompt: (placeholders, D)."""

    def vision_attention(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The features, and what each visual token receives of the attention in the tower's last block: (V,), mean over
        heads and queries. A family that has none raises ValueError."""
        raise ValueError(f"vision_attention: must be asked of a family that shows it, got {self.model_type}")

    @staticmethod
    @abstractmethod
    def grid_of(config: Any, inputs: Mapping[str, Tensor]) -> Grid:
        """The grid of visual tokens that a model of this config sees. Placeholders behind its t * h * w are no part of
        it."""

    @staticmethod
    @abstractmethod
    def frame_size_of(processor: Any, inputs: Mapping[str, Tensor]) -> tuple[int, int]:
        """Height and width in pixels of the frames that the processor made these inputs of."""

    @abstractmethod
    def positions(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The rotary positions of the prompt, (P, T), as `rope` has them. Generation goes on behind the last one."""

    @classmethod
    def frame_options(cls, processor: Any, max_pixels: int | None, *, field: str = "model") -> Mapping[str, Any]:
        """What the video processor is told so that no frame has more than `max_pixels` pixels (None: as the processor
        says). Raises ValueError for a bound that it cannot keep; a family whose frames have one size keeps none."""
        if max_pixels is not None:
            rule = f"must be null, the frames of {cls.model_type} have one size"
            raise ValueError(f"{field}.max_pixels: {rule}, got {max_pixels!r}")
        return {}

    # What the engine calls -------------------------------------------------------------------------------------------

    @classmethod
    def visual_tokens(
        cls, config: Any, processor: Any, *, frames: int, height: int, width: int, max_pixels: int | None = None
    ) -> int:
        """How many visual tokens a video of that many frames and that size has. No pixel is looked at."""
        return cls.grid_of(config, cls._hollow_inputs(processor, frames, height, width, max_pixels)).tokens

    @classmethod
    def frame_size(
        cls, processor: Any, *, frames: int, height: int, width: int, max_pixels: int | None = None
    ) -> tuple[int, int]:
        """Height and width to which the processor brings the frames of such a video. No pixel is looked at."""
        return cls.frame_size_of(processor, cls._hollow_inputs(processor, frames, height, width, max_pixels))

    @classmethod
    def _hollow_inputs(
        cls, processor: Any, frames: int, height: int, width: int, max_pixels: int | None
    ) -> BatchFeature:
        """What the video processor makes of a video whose pixels are not there."""
        inputs: BatchFeature = processor.video_processor(
            videos=[torch.empty((frames, 3, height, width), dtype=torch.uint8, device="meta")],
            video_metadata=[_metadata(frames, height, width, fps=1.0)],
            do_sample_frames=False,
            return_tensors="pt",
            **cls.frame_options(processor, max_pixels),
        )
        return inputs

    @property
    def frames_per_step(self) -> int:
        """How many frames one step of the grid's t shows; the last frame is repeated where they do not divide."""
        return 1

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid:
        """The grid of this model's visual tokens."""
        return self.grid_of(self.model.config, inputs)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.embed.weight.device
        return device

    @cached_property
    def steps(self) -> Steps | None:
        """Its decoding passes of fixed shape; None if they are computed as they come."""
        return None if self.compile == "none" else Steps(self, self.compile)

    @property
    def device_names(self) -> frozenset[str]:
        """The names of its devices."""
        return frozenset(str(device) for device in self.devices)

    def clock(self) -> Clock:
        """A clock of this model's time, begun now."""
        return Clock(*self.devices)

    def process(self, video: Video, question: str) -> BatchFeature:
        """The first half of `encode`: what the processor makes of them, pixels and token ids, in host memory. Raises as
        that does."""
        return self._together(lambda: self._read(video, question))

    @torch.inference_mode()
    def encode(
        self, video: Video, question: str, *, pixels: BatchFeature | None = None, vision_attention: bool = False
    ) -> Prompt:
        """Apply the chat template, run the vision tower, and put its features in place. `pixels` is what this model's
        `process`, or that of a model of the same `pixels_key`, has made of them already (None: nothing). With
        `vision_attention` the prompt says how much the tower attends to each visual token.

        All frames of `video` are used; nothing is sampled here. Raises SampleError for whatever is raised on the way,
        since it is of this video or question: only a device without room is not. Where processes share the model, all
        of them raise if one does.
        """
        made = self.process(video, question) if pixels is None else pixels
        inputs = BatchFeature(dict(made)).to(self.device)
        features_XD, attention_V, positions_PT = self._together(lambda: self._see(inputs, vision_attention))
        ids_T, grid = inputs["input_ids"][0], self.grid(inputs)
        placeholders = (ids_T == self._video_token).nonzero()[:, 0]
        embeds_TD = self.embed(ids_T)  # where processes share the model, its rows may lie with all of them
        embeds_TD[placeholders] = features_XD.to(embeds_TD)
        return Prompt(
            ids_T=ids_T,
            embeds_TD=embeds_TD,
            positions_PT=positions_PT,
            visual_V=placeholders[: grid.tokens],
            grid=grid,
            suffix=int(placeholders[-1]) + 1,
            next_position=int(positions_PT[:, -1].max()) + 1,
            vision_attention_V=attention_V,
        )

    @cached_property
    def vision_key(self) -> str:
        """Equal for two models exactly if `adopt` gives what the other's `encode` would (see `vsd.models.vision_key`).
        Where processes share the model, all of them ask for it."""
        return vision_key(self.model, self.processor, [self.model_type, self.rope, dict(self._frame_options)])

    @cached_property
    def pixels_key(self) -> str:
        """Equal for two models only if `process` gives the same (see `vsd.models.vision_key`)."""
        return pixels_key(self.processor, [self.model_type, dict(self._frame_options)])

    @torch.inference_mode()
    def adopt(self, prompt: Prompt) -> Prompt:
        """This model's prompt of what a model of the same `vision_key` has encoded: that one's vision features between
        text of its own. The vision tower does not run."""
        ids_T = prompt.ids_T.to(self.device)
        embeds_TD = self.embed(ids_T)
        placeholders = (ids_T == self._video_token).nonzero()[:, 0]
        embeds_TD[placeholders] = prompt.embeds_TD.to(embeds_TD)[placeholders]
        return replace(
            prompt,
            ids_T=ids_T,
            embeds_TD=embeds_TD,
            positions_PT=prompt.positions_PT.to(self.device),
            visual_V=prompt.visual_V.to(self.device),
        )

    def _together(self, call: Callable[[], _T]) -> _T:
        """The call's result, if no process that shares the model has failed in it."""
        return distributed.together(call) if self.ranks > 1 else call()

    def _read(self, video: Video, question: str) -> BatchFeature:
        with of_sample("chat template"):
            text = chat(self.processor, question)
        with of_sample("processor"):
            return self._inputs(video, text)

    def _see(self, inputs: BatchFeature, attention: bool) -> tuple[Tensor, Tensor | None, Tensor]:
        """The features, the tower's attention if it is wanted, and the positions."""
        with of_sample("vision tower"):
            features_XD, attention_V = self.vision_attention(inputs) if attention else (self.features(inputs), None)
        placeholders = int((inputs["input_ids"] == self._video_token).sum())
        if not 0 < placeholders == len(features_XD):
            raise SampleError(
                f"{self.name}: the prompt holds {placeholders} video placeholders for {len(features_XD)} features"
            )
        with of_sample("positions"):
            return features_XD, attention_V, self.positions(inputs)

    def start_prefill(
        self, prompt: Prompt, *, collector: Collector | None = None, capacity: int | None = None
    ) -> Prefill:
        """Begin to read the prompt. `collector` is shown what it wants to see; `capacity` is the number of cache rows
        to allocate (default: the prompt and 512 more)."""
        return Prefill(self, prompt, self._state(prompt, capacity), collector)

    def prefill(self, prompt: Prompt, *, capacity: int | None = None) -> tuple[State, Tensor]:
        """Read the prompt. Returns the state and the logits_W after its last token."""
        prefill = self.start_prefill(prompt, capacity=capacity)
        return prefill.state, prefill.finish()

    def forward(
        self, ids_M: Tensor, parents_M: Sequence[int] | Tensor, state: State, *, collector: Collector | None = None
    ) -> Output:
        """Run M tree nodes behind the cache; `State.commit` then says which of them stand.

        `parents_M[i]` is the node that node i follows, -1 for the cache's end. The rotary position of a node is that
        of the next generated token plus the node's depth. `collector` is shown what it wants to see of each node.
        Raises ValueError when the cache has no room or a parent comes after its child.
        """
        if torch.is_inference_mode_enabled():  # to ask takes less time than to enter it once more
            return self._pass(ids_M, parents_M, state, collector)
        with torch.inference_mode():
            return self._pass(ids_M, parents_M, state, collector)

    def _pass(
        self, ids_M: Tensor, parents_M: Sequence[int] | Tensor, state: State, collector: Collector | None
    ) -> Output:
        nodes = state.attach(parents_M.tolist() if isinstance(parents_M, Tensor) else parents_M)
        wanted = collector.of_pass if collector is not None else NOTHING
        if self.steps is not None:
            logits_MW, taken = self.steps.run(ids_M, nodes, state, wanted)
        else:
            taken = Taken(wanted)
            positions_P1M, mask = state.positions(nodes), state.mask(nodes)
            states_MD = self.run(self.embed(ids_M), positions_P1M, mask, state.cache, watch=taken)
            logits_MW = self.logits(states_MD)
        if collector is None or not wanted:
            return Output(logits_MW=logits_MW)
        attended = {layer: self._attended(layer, query, nodes, state) for layer, query in taken.queries.items()}
        return Output(logits_MW=logits_MW, evidence=collector.pass_rows(taken.states, attended))

    def _attended(self, layer: int, query: Tensor, nodes: Nodes, state: State) -> Attended:
        """The attention of a layer, counted from 1, in a pass that has just ended."""
        mask = None if nodes.chain else state.mask(nodes)
        mask = mask if mask is None else mask.to(query.device)
        return Attended(query, state.seen(layer - 1, nodes), mask, self.text.layers[layer - 1].self_attn.scaling)

    def warm_up(self) -> None:
        """Decode a short question about two small frames, so that what a device does once is done: on a GPU it starts
        up and loads its kernels. Returns when it has finished."""
        frames = np.zeros((2, _WARM_SIDE, _WARM_SIDE, 3), dtype=np.uint8)
        try:
            prompt = self.encode(Video(frames=frames, timestamps=np.arange(2.0)), "?")
        except SampleError as error:  # this is no sample: every one would fail
            raise RuntimeError(f"{self.name}: must read two small frames, got: {error}") from error
        state, logits_W = self.prefill(prompt)
        output = self.forward(logits_W.argmax()[None].to(self.device), [-1], state)
        state.commit([0])
        output.logits_MW.argmax(-1).tolist()  # waits for the device

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of generated tokens, special tokens left out."""
        return str(self.processor.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def narrow(self, vocab: int) -> Self:
        """The same model, sharing its weights, with the logits of the first `vocab` tokens only."""
        if not 0 < vocab <= self.vocab:
            raise ValueError(f"vocab: {self.name} has {self.vocab} tokens, got {vocab}")
        narrowed = copy.copy(self)
        narrowed.vocab = vocab
        if narrowed._head_tokens is not None:
            inside = narrowed._head_tokens < vocab
            narrowed._head_tokens, narrowed._head_rows = narrowed._head_tokens[inside], narrowed._head_rows[inside]
        return narrowed

    def twin(self) -> Self:
        """The same model with modules of its own around the same weights, so that two threads can run it at once."""
        if self.ranks > 1:
            raise ValueError(f"model: one that is shared with other processes has no twin, got {self.name}")
        twin = copy.copy(self)
        weights = [*self.model.parameters(), *self.model.buffers()]
        twin.model = copy.deepcopy(self.model, {id(weight): weight for weight in weights})
        twin.text = twin.model.model.language_model
        twin.embed = twin.text.embed_tokens
        return twin

    def trim(self, tokens: Sequence[int]) -> Self:
        """The same model, sharing its weights, whose head computes these tokens only; all others get logit -inf.

        Raises ValueError unless they are at least one token id of this model.
        """
        if not tokens or not all(0 <= token < self.vocab for token in tokens):
            raise ValueError(f"tokens: must be ids in [0, {self.vocab}) of {self.name}, got {len(tokens)} of them")
        trimmed = copy.copy(self)
        head_WD = distributed.whole(self.model.lm_head.weight)  # every rank computes the few tokens itself
        trimmed._head_tokens = torch.tensor(sorted(set(tokens)), device=head_WD.device)
        trimmed._head_rows = head_WD[trimmed._head_tokens]
        return trimmed

    def __copy__(self) -> Self:
        """The same model as another object, whose compiled passes are its own."""
        copied = object.__new__(type(self))
        copied.__dict__ = {name: value for name, value in self.__dict__.items() if name != "steps"}
        return copied

    def computed_by(self, **how: Unpack[Computing]) -> Self:
        """The same model, sharing its weights, computed in another way. Raises TypeError for what is none."""
        if unknown := how.keys() - Computing.__annotations__.keys():
            raise TypeError(f"computed_by: must be of {', '.join(Computing.__annotations__)}, got {sorted(unknown)}")
        copied = copy.copy(self)
        copied.__dict__.update(how)
        return copied

    # How -------------------------------------------------------------------------------------------------------------

    def run(
        self,
        states_MD: Tensor,
        positions_P1M: Tensor,
        mask: Tensor | None,
        cache: Any,
        *,
        watch: Watch | Taken | None = None,
        layers: tuple[int, int] | None = None,
    ) -> Tensor:
        """The states behind the text model, the final norm included; with `layers` behind the last of some in its
        midst, which begin with states behind the first number of layers. Rows are written to `cache`; `watch` is shown
        what it wants to see.

        The layers are transformers' own, called one after the other.
        """
        first, last = layers or (0, self.depth)
        extra: dict[str, Any] = {"attention": self.attention}
        if watch is not None and watch.attention:
            extra["watch"] = watch
        wanted = watch.layers if watch is not None else frozenset()
        if not first and 0 in wanted and watch is not None:
            watch.see_states(0, states_MD)
        states = states_MD[None]
        angles = self.text.rotary_emb(states, positions_P1M if positions_P1M.shape[0] > 1 else positions_P1M[0])
        for number, layer in enumerate(self.text.layers[first:last], first + 1):
            states = layer(
                states,
                attention_mask=mask,
                position_embeddings=angles,
                position_ids=None,
                use_cache=True,
                **{self._cache_keyword: cache},
                **extra,
            )
            if number == self.depth:
                states = self.text.norm(states)
            if number in wanted and watch is not None:
                watch.see_states(number, states[0])
        return states[0]

    def logits(self, hidden_MD: Tensor) -> Tensor:
        if self._head_tokens is None:
            known_MW: Tensor = self.model.lm_head(hidden_MD)[:, : self.vocab]
            return known_MW
        hidden_MD = hidden_MD.to(self._head_rows.device)
        logits_MW = hidden_MD.new_full((hidden_MD.shape[0], self.vocab), -torch.inf)
        logits_MW[:, self._head_tokens] = hidden_MD @ self._head_rows.T
        return logits_MW

    def _state(self, prompt: Prompt, capacity: int | None) -> State:
        capacity = prompt.length + _SPARE_ROWS if capacity is None else capacity
        if capacity < prompt.length:
            raise ValueError(f"capacity: the prompt alone takes {prompt.length} cache rows, got {capacity}")
        buffers = self._buffers(capacity)
        state = State(
            prompt=prompt.length,
            next_position=prompt.next_position,
            capacity=capacity,
            buffers=buffers,
            axes=prompt.positions_PT.shape[0],
            groups=self.groups,
            like=prompt.embeds_TD,
        )
        if self.steps is not None:
            self.steps.take_back(buffers, state)
        return state

    def rows(self, capacity: int) -> int:
        """How many cache rows are allocated for so many: some to spare, and those that passes of fixed shape may write
        behind them."""
        return bucket(capacity if self.steps is None else capacity + SPARE_ROWS)

    def _buffers(self, capacity: int) -> Buffers:
        rows = self.rows(capacity)
        return Buffers(rows, self.depth) if self.steps is None else self.steps.buffers(rows, self.depth)

    def _inputs(self, video: Video, text: str) -> BatchFeature:
        inputs: BatchFeature = self.processor(
            text=[text],
            videos=[torch.from_numpy(video.frames).permute(0, 3, 1, 2)],
            video_metadata=[_metadata(*video.frames.shape[:3], fps=video.fps)],
            do_sample_frames=False,
            return_tensors="pt",
            **self._frame_options,
            **({"do_resize": False} if video.fitted else {}),
        )
        return inputs


def cache_keyword(text: Any) -> str:
    """The name under which a text model of transformers takes its cache: it changes from 5.40 on."""
    return "cache" if "cache" in inspect.signature(text.forward).parameters else "past_key_values"


def chat(processor: Any, question: str) -> str:
    """The question about a video in the checkpoint's chat template, up to where the generation begins. Raises
    SampleError for a question that would not be read as the text that it is."""
    check_question(processor, question)
    content = [{"type": "video"}, {"type": "text", "text": question}]
    return str(
        processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
    )


def _metadata(count: int, height: int, width: int, *, fps: float) -> VideoMetadata:
    return VideoMetadata(total_num_frames=count, fps=fps, height=height, width=width, frames_indices=list(range(count)))


def _eos(model: Any, processor: Any) -> frozenset[int]:
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = processor.tokenizer.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)
