"""The draft's thread and the caller's on a GPU that is not there: streams and events that note who waits for what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from vsd.draft import Window
from vsd.executors import thread
from vsd.executors.thread import ThreadClient
from vsd.types import Draft
from vsd.utils.cuda_streams import Streams, tensors

ONE, TWO, THREE = (torch.device("cuda", number) for number in range(3))


@dataclass
class Stream:
    """What was put on it, in order: the names of pieces of work, and events of other streams that it waits for."""

    name: str
    device: torch.device
    queue: list[Any] = field(default_factory=list)

    def record_event(self) -> Event:
        return Event(self, len(self.queue))

    def wait_event(self, event: Event) -> None:
        self.queue.append(event)

    def before(self) -> set[str]:
        """All work that is done before whatever is put on this stream next."""
        return Event(self, len(self.queue)).before()


@dataclass(frozen=True)
class Event:
    stream: Stream
    place: int

    def before(self) -> set[str]:
        found = set[str]()
        for each in self.stream.queue[: self.place]:
            found |= each.before() if isinstance(each, Event) else {each}
        return found


class Cuda:
    """`torch.cuda`, as far as streams go: a current stream for each thread and device."""

    def __init__(self) -> None:
        self.made: list[Stream] = []
        self.default = {device: Stream("default", device) for device in (ONE, TWO, THREE)}
        self.local = threading.local()
        self.Stream = self._new

    def current_stream(self, device: torch.device) -> Stream:
        found: Stream = getattr(self.local, "streams", {}).get(device, self.default[device])
        return found

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before = getattr(self.local, "streams", {})
        self.local.streams = {**before, stream.device: stream}
        self.local.device = stream.device
        yield
        self.local.streams = before

    def _new(self, device: torch.device) -> Stream:
        self.made.append(Stream("draft", device))
        return self.made[-1]

    def put(self, work: str, device: torch.device) -> None:
        self.current_stream(device).queue.append(work)


class OnGpu(Tensor):
    """A tensor that says it lies on a GPU, and notes the streams that it is recorded on."""

    place: torch.device
    recorded: list[Stream]

    device: Any = property(lambda self: self.place)

    def record_stream(self, stream: Any) -> None:
        self.recorded.append(stream)


def on_gpu(device: torch.device) -> OnGpu:
    made = torch.zeros(2).as_subclass(OnGpu)
    made.place, made.recorded = device, []
    return made


class Runner:
    """A draft's runner whose work is a note on the streams of its devices."""

    def __init__(self, cuda: Cuda, devices: tuple[torch.device, ...]) -> None:
        self.cuda, self.devices = cuda, devices
        self.model = self
        self.seen: dict[str, set[str]] = {}
        self.first: torch.device | None = None

    def prefill(self, kept_K: Tensor) -> tuple[int, float]:
        self._work("draft prefill")
        return 1, 0.0

    def propose(self, tokens: list[int], evidence: dict[str, Tensor] | None = None) -> Window:
        self._work("draft window")
        parents_N = torch.tensor([-1])
        return Window(draft=Draft(tokens_N=on_gpu(self.devices[-1]), parents_N=parents_N), seconds=0.0)

    def fail(self) -> None:
        raise RuntimeError("nothing to draft")

    def _work(self, name: str) -> None:
        self.first = self.cuda.local.device
        for device in self.devices:
            self.seen[f"{name} {device}"] = self.cuda.current_stream(device).before()
            self.cuda.put(f"{name} {device}", device)


def client_of(runner: Any) -> ThreadClient:
    """`runner` stands in for a draft's."""
    return ThreadClient(runner)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    made = Cuda()
    monkeypatch.setattr(thread, "Streams", lambda devices: Streams(devices, made))
    return made


@pytest.mark.parametrize("devices", [(ONE,), (ONE, TWO)], ids=["one device", "a device map"])
def test_each_side_waits_for_the_other(cuda: Cuda, devices: tuple[torch.device, ...]) -> None:
    runner = Runner(cuda, devices)
    client = client_of(runner)
    for device in devices:
        cuda.put(f"target {device}", device)
    kept_K = on_gpu(ONE)
    job = client.start(partial(Runner.prefill, kept_K=kept_K))
    for device in devices:
        cuda.put(f"later {device}", device)
    job.result()
    rows = on_gpu(devices[-1])
    window = client.ask(partial(Runner.propose, tokens=[], evidence={"hidden:1.0": rows}))
    assert {stream.device for stream in cuda.made} == set(devices)
    assert runner.first == ONE
    for device in devices:
        own = next(stream for stream in cuda.made if stream.device == device)
        # The draft's work stands on a stream of its own, behind what the target had put on its one by then ...
        assert {f"draft prefill {device}", f"draft window {device}"} <= own.before()
        assert f"target {device}" in runner.seen[f"draft prefill {device}"]
        assert f"later {device}" not in runner.seen[f"draft prefill {device}"]
        assert {f"later {device}", f"draft prefill {device}"} <= runner.seen[f"draft window {device}"]
        # ... and what the caller puts on its stream next is done behind the draft's.
        assert f"draft window {device}" in cuda.current_stream(device).before()
    # What crosses is not given away before it was read.
    assert kept_K.recorded == [cuda.made[0]]
    assert rows.recorded == [next(stream for stream in cuda.made if stream.device == devices[-1])]
    tokens_N = window.draft.tokens_N
    assert isinstance(tokens_N, OnGpu)
    assert tokens_N.recorded == [cuda.default[devices[-1]]]
    client.close()


def test_nothing_is_waited_for_before_a_result_is_taken(cuda: Cuda) -> None:
    client = client_of(Runner(cuda, (ONE,)))
    job = client.start(partial(Runner.propose, tokens=[]))
    client._pool.shutdown(wait=True)
    assert cuda.default[ONE].before() == set()
    job.result()
    assert cuda.default[ONE].before() == {f"draft window {ONE}"}


def test_a_tensor_of_another_device_brings_a_stream_there(cuda: Cuda) -> None:
    client = client_of(Runner(cuda, (ONE,)))
    cuda.put("target", THREE)
    kept_K = on_gpu(THREE)
    client.start(partial(Runner.prefill, kept_K=kept_K)).result()
    assert [stream.device for stream in cuda.made] == [ONE, THREE]
    assert kept_K.recorded == [cuda.made[1]]
    assert "target" in cuda.made[1].before()  # a copy from there runs on that stream
    client.close()


def test_what_fails_is_told_and_waits_for_nothing(cuda: Cuda) -> None:
    client = client_of(Runner(cuda, (ONE,)))
    with pytest.raises(RuntimeError, match="nothing to draft"):
        client.ask(partial(Runner.fail))
    assert cuda.default[ONE].queue == []
    client.close()


def test_on_a_cpu_there_are_no_streams(cuda: Cuda) -> None:
    client = client_of(Runner(cuda, ()))
    assert not client._streams._own
    client.close()


def test_tensors_are_found_wherever_they_are() -> None:
    one, two = torch.zeros(1), torch.zeros(2)
    window = Window(draft=Draft(tokens_N=one, parents_N=two), seconds=1.0)
    assert [len(each) for each in tensors(([window], {"a": two}, 3, None, "text"))] == [1, 2, 2]
