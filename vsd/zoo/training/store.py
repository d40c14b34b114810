"""Features of whole clips, computed once, since language models learn from the same tower all along.

With a folder, groups are kept in files, so that the processes which draw from the same clips share the work.
Of the patches of a shot in which nothing happens one is computed. Clips come in groups, one more every few steps, and
the oldest go; groups and their features depend on their number alone, so a run that goes on has the same ones.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from vsd.zoo.small_events.drawing import cell_labels
from vsd.zoo.small_events.world import SHOT, Scene
from vsd.zoo.training.family import CELLS, Family
from vsd.zoo.training.sights import SHOTS, draw_scene, show

_FIRST, _MOST = 50, 400  # groups at the first step, and at most
_EVERY = 4  # steps: a new group


class Clip(NamedTuple):
    """`patch_T` says which of the P patches each token in time shows, `event_V` the event of each visual token (-1 for
    none)."""

    scene: Scene
    features_PCD: Tensor  # half precision
    patch_T: Tensor
    event_V: NDArray[np.int64]

    @property
    def tokens(self) -> int:
        return len(self.event_V)

    def features(self, kept_K: NDArray[np.int64]) -> Tensor:
        """(K, D), of these visual tokens."""
        kept = torch.from_numpy(kept_K)
        return self.features_PCD[self.patch_T[kept // CELLS], kept % CELLS].float()


class Store:
    """`model` sees. `first` groups are there from the beginning, `most` at any time; a group is one clip of each of
    SHOTS. `folder` is where groups are kept for the other processes that have this tower and seed."""

    def __init__(
        self,
        family: Family,
        model: Any,
        *,
        seed: int = 0,
        first: int = _FIRST,
        most: int = _MOST,
        folder: Path | None = None,
    ) -> None:
        self._family, self._model, self._seed, self._first, self._folder = family, model, seed, first, folder
        self._groups: deque[list[Clip]] = deque(maxlen=most)
        self._next = 0

    def advance(self, step: int) -> None:
        """Makes it what it is at this step."""
        wanted = self._first + step // _EVERY
        self._next = max(self._next, wanted - (self._groups.maxlen or wanted))
        self._write_ahead(wanted)
        while self._next < wanted:
            self._groups.append(self._kept(self._next))
            self._next += 1

    def draw(self, rng: np.random.Generator) -> Clip:
        """Any clip."""
        group = self._groups[int(rng.integers(len(self._groups)))]
        return group[int(rng.integers(len(group)))]

    def draw_alike(self, count: int, rng: np.random.Generator) -> list[Clip]:
        """Clips of one length, as likely as `draw` finds it."""
        number = int(rng.integers(len(SHOTS)))
        return [self._groups[int(rng.integers(len(self._groups)))][number] for _ in range(count)]

    def _write_ahead(self, wanted: int) -> None:
        """Each worker of a trainer writes its own groups, before all of them come to these."""
        worker = get_worker_info()
        if worker is None or self._folder is None:
            return
        for group in range(self._next, wanted + worker.num_workers):
            if group % worker.num_workers == worker.id and not self._file(group).exists():
                self._write(group)

    def _kept(self, group: int) -> list[Clip]:
        """From its file, which is written if it is not there."""
        if self._folder is None:
            return self._group(group)
        if not self._file(group).exists():
            self._write(group)
        clips: list[Clip] = pickle.loads(self._file(group).read_bytes())
        return clips

    def _file(self, group: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{group}.pkl"

    def _write(self, group: int) -> None:
        """Two that write the same group at once write the same."""
        new = self._file(group).with_suffix(f".{os.getpid()}")
        new.write_bytes(pickle.dumps(self._group(group)))
        new.replace(self._file(group))

    @torch.no_grad()
    def _group(self, group: int) -> list[Clip]:
        rng = np.random.default_rng([self._seed, group, 3])
        scenes = [draw_scene(number, rng) for number in range(len(SHOTS))]
        shown = [_patches(self._family, drawn) for drawn in scenes]
        pixels = [
            show(self._family, drawn, tokens, rng).frames_PFHWC
            for drawn, (tokens, _) in zip(scenes, shown, strict=True)
        ]
        seen = torch.cat(pixels).to(self._model.device)
        with torch.autocast(seen.device.type, enabled=False):  # a step's precision is not that of what is seen
            features = self._family.see(self._model, seen).half().cpu()
        clips = []
        for drawn, (_, patch_T), one in zip(scenes, shown, features.split([len(p) for p in pixels]), strict=True):
            clips.append(Clip(drawn, one, torch.from_numpy(patch_T), _events(self._family, drawn)))
        return clips


def _events(family: Family, drawn: Scene) -> NDArray[np.int64]:
    """The event that each visual token of the clip shows, -1 for none."""
    times = np.arange(drawn.frames // family.frames_per_token)
    return cell_labels(drawn, times, family.frames_per_token).event_TGG.ravel()


def _patches(family: Family, drawn: Scene) -> tuple[list[int], NDArray[np.int64]]:
    """The tokens in time that are computed, and which of them each token in time is like."""
    stride = family.frames_per_token
    busy = {frame // stride for event in drawn.events for frame in range(event.start, event.start + event.frames)}
    times = range(drawn.frames // stride)
    first: dict[int, int] = {}
    like = [time if time in busy else first.setdefault(time * stride // SHOT, time) for time in times]
    tokens = sorted(set(like))
    return tokens, np.array([tokens.index(time) for time in like])
