"""What a checkpoint's generation config would change in the tokens of greedy decoding.

vsd decodes by the plain argmax of the logits. transformers' `generate` does so too, unless the generation config asks
for more, as the repetition penalty of 1.05 that Qwen2.5-VL ships.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.configuration_utils import GenerationMode
from transformers.generation.logits_process import InfNanRemoveLogitsProcessor, LogitNormalization

_GREEDY = (GenerationMode.GREEDY_SEARCH, GenerationMode.ASSISTED_GENERATION)  # the latter is faster, and the same
_HARMLESS = (LogitNormalization, InfNanRemoveLogitsProcessor)  # they leave the argmax where it is
_STOPS = ("stop_strings",)


def beyond_greedy(model: Any) -> dict[str, Any]:
    """The settings of the model's generation config, by name, that would change greedy `generate`'s tokens.

    Each that differs from the default is put to transformers on its own: a setting counts if a processor of logits or
    another way of searching comes of it. What only matters when tokens are drawn (temperature, top_p) does not count.
    """
    own, default = model.generation_config.to_dict(), GenerationConfig().to_dict()
    given = {name: value for name, value in own.items() if value is not None and value != default.get(name)}
    return {name: value for name, value in given.items() if _changes(model, name, value)}


def _changes(model: Any, name: str, value: Any) -> bool:
    alone = GenerationConfig(eos_token_id=0, pad_token_id=0)
    setattr(alone, name, value)
    alone.do_sample = False
    alone._eos_token_tensor = torch.tensor([0])  # as `generate` prepares it
    ids = torch.tensor([[0]])
    try:
        if name in _STOPS or alone.get_generation_mode() not in _GREEDY:
            return True
        processors = model._get_logits_processor(
            generation_config=alone, input_ids_seq_length=1, encoder_input_ids=ids, device="cpu", model_kwargs={}
        )
    except (TypeError, ValueError):  # a value that generate itself could not use
        return True
    return any(not isinstance(processor, _HARMLESS) for processor in processors)
