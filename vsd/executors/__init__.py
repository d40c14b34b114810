"""Executors: where the draft's work is done. `vsd.executors.simulated` is one more, in the time of another machine."""

from vsd.executors.base import DraftClient, Executor, Pending, Sides
from vsd.executors.inline import Inline
from vsd.executors.process import Process
from vsd.executors.thread import Thread

__all__ = ["DraftClient", "Executor", "Inline", "Pending", "Process", "Sides", "Thread"]
