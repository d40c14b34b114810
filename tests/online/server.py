"""A W&B-compatible server on loopback that can be killed and started again, and what it holds."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

KEY = "local" + 40 * "0"  # openwandb's own for local use


@dataclass
class Server:
    """`command` is openwandb's, `folder` takes its files."""

    command: str
    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers; on the same port as before."""
        if not self.port:
            with closing(socket.create_server(("127.0.0.1", 0))) as listener:
                self.port = listener.getsockname()[1]
        words = ["serve", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(self.folder)]
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self.command, *words], stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError), urlopen(self.address, timeout=2):
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        raise TimeoutError("the server does not start")

    def kill(self) -> None:
        """As a power cut does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def runs(self) -> dict[str, dict[str, Any]]:
        """By id, the state, name, config and summary of each run."""
        rows = self._ask("select run_id, state, display_name, config_json, summary_json, tags_json from runs")
        names = ("state", "name", "config", "summary", "tags")
        return {
            row[0]: dict(zip(names, [row[1], row[2], *(json.loads(text) for text in row[3:])], strict=True))
            for row in rows
        }

    def history(self, run_id: str, name: str) -> dict[int, float]:
        """By step, the value of a metric. A server that keeps lines that are sent twice has them once here, and must
        not hold two values of one step."""
        rows = self._ask("select distinct step, value from metrics where run_id = ? and key = ?", run_id, name)
        assert len({step for step, _ in rows}) == len(rows), f"{name} has two values in one step: {rows}"
        return dict(sorted(rows))

    def _ask(self, query: str, *values: str) -> list[Any]:
        file = self.folder / "openwandb.db"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()
