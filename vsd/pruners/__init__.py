"""Pruners choose which visual tokens the draft's prompt keeps. One method, one file, one paper.

A new pruner is two files: `vsd/pruners/<name>.py` (a frozen dataclass derived from `ScorePruner` or `Pruner`) and
`conf/pruner/<name>.yaml` (its `_target_` and every field with its default). The tests walk the YAML folder.
"""

from vsd.pruners.base import Pruner, ScorePruner

__all__ = ["Pruner", "ScorePruner"]
