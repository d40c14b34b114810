"""The DataModule: reads a sample's video when its turn comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from vsd.types import Sample, SampleError, Span, Video
from vsd.utils.faults import of_sample
from vsd.utils.fingerprint import file_stamp
from vsd.video import read


class Read(Protocol):
    """Reads a video, as `vsd.video.read` does."""

    def __call__(self, path: str, frames: int, /, *, span: Span) -> Video: ...


@dataclass(frozen=True, kw_only=True)
class Item:
    """A sample with its frames, or with the reason why there are none. `stamp` is its file's, taken before reading."""

    sample: Sample
    stamp: str = ""
    video: Video | None = None
    failure: str = ""
    warnings: tuple[str, ...] = ()


class VideoDataset(Dataset[Item]):
    """Samples with `frames` frames each. A bad video is an item that says so: it must not end the run."""

    def __init__(self, samples: Sequence[Sample], frames: int, read: Read) -> None:
        self.samples = samples
        self.frames = frames
        self.read = read
        self._last: tuple[Any, Any] = None, None  # questions about one video mostly come one after the other

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        sample = self.samples[index]
        stamp = file_stamp(sample.video)
        key = (sample.video, sample.span, stamp)
        if key != self._last[0]:
            self._last = None, None  # its frames are let go before others are read
            try:
                with of_sample("video"):
                    self._last = key, self.read(sample.video, self.frames, span=sample.span)
            except SampleError as error:
                self._last = key, str(error)
        video = self._last[1]
        if isinstance(video, str):
            return Item(sample=sample, stamp=stamp, failure=video)
        return Item(sample=sample, stamp=stamp, video=video, warnings=_warnings(video, self.frames))


class VideoData(LightningDataModule):
    """The samples of one job, one at a time and in their order. Videos are read between samples, outside every clock,
    by `read`, which raises BadVideo."""

    def __init__(self, samples: Sequence[Sample], frames: int, *, read: Read = read) -> None:
        super().__init__()
        self.dataset = VideoDataset(samples, frames, read)

    def test_dataloader(self) -> DataLoader[Item]:
        return DataLoader(self.dataset, batch_size=None, collate_fn=_as_it_is)

    def transfer_batch_to_device(self, batch: Item, device: torch.device, dataloader_idx: int) -> Item:
        """An item stays as it is: the engine knows its own devices."""
        return batch


def _as_it_is(item: Any) -> Any:
    return item


def _warnings(video: Video, frames: int) -> tuple[str, ...]:
    count = len(video.frames)
    few = f"there are {count} frames to see, fewer than frames={frames}" if count < frames else ""
    return tuple(warning for warning in (few, video.warning) if warning)
