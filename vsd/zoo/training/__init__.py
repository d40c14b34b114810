"""How the bundled pairs are trained, from nothing: ``python -m vsd.zoo.training --help``.

A family's models come in this order: its tower learns to name what each cell shows (`tower`), the target learns to
answer from its features (`speaking`), the draft `near` first learns these features with a smaller tower (`mimic`) and
then to answer nearly in the target's words, and the draft `other` speaks from the target's own features, in sentences
of another habit. `stages` puts them together.

`qwen` and `llava` know the families; `models` and `words` make models, tokenizers and processors; `sights` and `store`
show clips, `lessons`, `prompts`, `statements` and `batches` ask about them; `run` trains, `export` writes checkpoints
and `evaluate` tells how good they are.
"""

from vsd.zoo.training.family import Family
from vsd.zoo.training.llava import Llava
from vsd.zoo.training.qwen import Qwen

FAMILIES: dict[str, Family] = {family.name: family for family in (Qwen(), Llava())}
