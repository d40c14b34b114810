"""A process of our own: what it says arrives whole or not at all, and it never outlives a deadline or its parent."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from vsd.utils.child_process import ChildDied, ChildProcess, ChildTimeout, comes, send_stream

LARGE = np.arange(8_000_000, dtype=np.uint8).reshape(8, 1000, 1000)  # no pipe holds it
LIMIT_S = 0.5


def serve(pipe: Connection) -> None:
    """Answers, and gets into the trouble that it is asked for."""
    while True:
        comes(pipe)
        message = pipe.recv()
        if isinstance(message, np.ndarray):
            pipe.send(int(message.sum()))
        elif message == "stream":
            send_stream(pipe, LARGE)
        elif message == "half a stream":
            send_stream(pipe, LARGE[:4])
            os.kill(os.getpid(), signal.SIGSTOP)
        elif message == "half a message":
            os.write(pipe.fileno(), struct.pack("!i", 1000) + b"begun")
            os.kill(os.getpid(), signal.SIGSTOP)
        elif message == "sleep":
            time.sleep(60)
        elif message == "leave":
            return
        elif message == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            pipe.send(message)


@pytest.fixture(scope="module")
def kept() -> Iterator[ChildProcess]:
    child = ChildProcess(serve)
    yield child
    child.close()


@pytest.fixture
def child(kept: ChildProcess) -> ChildProcess:
    kept.start()
    kept.send("ready", 30)
    assert kept.receive(30) == "ready"
    return kept


def is_gone(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_messages_and_streams_arrive_as_they_were_sent(child: ChildProcess) -> None:
    child.send(LARGE, 30)
    assert child.receive(30) == int(LARGE.sum())
    buffer = np.zeros_like(LARGE)
    child.send("stream", 30)
    child.receive_into(buffer, 30)
    np.testing.assert_array_equal(buffer, LARGE)
    child.send({"a": (1, None)}, 30)
    assert child.receive(30) == {"a": (1, None)}


def ask(child: ChildProcess, what: str) -> None:
    child.send(LARGE if what == "sending" else what, LIMIT_S)
    if what == "half a stream":
        child.receive_into(np.zeros_like(LARGE), LIMIT_S)
    else:
        child.receive(LIMIT_S)


@pytest.mark.parametrize("where", ["sending", "waiting", "half a message", "half a stream", "sleep"])
def test_a_stopped_or_hung_process_keeps_nobody_waiting(child: ChildProcess, where: str) -> None:
    pid, began = child.pid, time.perf_counter()
    if where in ("sending", "waiting"):
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ChildTimeout, match=r"no answer within 0\.5 s"):
        ask(child, where)
    assert LIMIT_S <= time.perf_counter() - began < LIMIT_S + 1
    assert is_gone(pid)
    assert not child.alive


@pytest.mark.parametrize(("how", "code"), [("die", -signal.SIGKILL), ("leave", 0)])
def test_a_process_that_ends_says_how(child: ChildProcess, how: str, code: int) -> None:
    pid = child.pid
    child.send(how, 30)
    with pytest.raises(ChildDied, match=f"exit code {code:d}") as caught:
        child.receive(30)
    assert caught.value.exit_code == code
    assert is_gone(pid)
    with pytest.raises(ChildDied):
        child.send("anyone?", 30)


def test_a_deadline_that_was_met_is_forgotten(child: ChildProcess) -> None:
    child.send("x", 0.2)
    assert child.receive(0.2) == "x"
    time.sleep(0.5)
    child.send("y", 30)
    assert child.receive(30) == "y"


def test_ctrl_c_is_the_parent_s(child: ChildProcess) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGINT)
    child.send("still there", 30)
    assert child.receive(30) == "still there"


def test_an_interrupted_message_ends_the_process(child: ChildProcess) -> None:
    """Nobody knows where in the message the pipe stands."""
    pid = child.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        child.send(LARGE, 30)
    signal.signal(signal.SIGALRM, before)
    assert is_gone(pid)


PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test worker may have ignored it
from tests.test_child import serve
from vsd.utils.child_process import ChildProcess
child = ChildProcess(serve)
child.start()
child.send("one", 30)
child.receive(30)
child.send("sleep", 30)
print(child.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


def program(file: Path, text: str, *args: str) -> subprocess.Popen[str]:
    """A Python program in a file."""
    file.write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, str(file), *args],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Also while it is busy and reads nothing. The program has no main guard."""
    ends = {"SIGKILL": "60", "SIGTERM": "60", "SIGINT": "60", "return": "0"}
    # A file each: one that is written again while Python begins to read it is an empty program.
    parents = {end: program(tmp_path / f"{end}.py", PROGRAM, seconds) for end, seconds in ends.items()}
    pids = {end: int(parent.stdout.readline()) for end, parent in parents.items() if parent.stdout}
    for end, parent in parents.items():
        if end != "return":
            parent.send_signal(getattr(signal, end))
    for parent in parents.values():
        parent.communicate(timeout=60)
    until = time.perf_counter() + 10
    while not all(map(is_gone, pids.values())) and time.perf_counter() < until:
        time.sleep(0.02)
    assert {end: is_gone(pid) for end, pid in pids.items()} == dict.fromkeys(ends, True)


def test_what_comes_from_a_program_without_a_main_guard_is_a_clear_error(tmp_path: Path) -> None:
    head = "from vsd.utils.child_process import ChildProcess\ndef serve(pipe):\n    pipe.send(1)\n"
    lines = ["child = ChildProcess(serve)", "child.start()", "print(child.receive(30))", "child.close()"]
    with program(tmp_path / "bare.py", head + "\n".join(lines)) as bare:
        error = bare.communicate(timeout=30)[1]
    assert bare.returncode == 1
    assert "if __name__ == '__main__':" in error
    assert error.endswith("vsd.utils.child_process.ChildDied: exit code 1\n")
    guard = "if __name__ == '__main__':\n    "
    with program(tmp_path / "guarded.py", head + guard + "\n    ".join(lines)) as guarded:
        assert guarded.communicate(timeout=30) == ("1\n", "")


def test_it_is_light() -> None:
    names = "('torch', 'numpy', 'hydra')"
    code = f"import sys, vsd.utils.child_process; print([name for name in {names} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
