"""Stands between W&B and a server and writes down how runs have ended: the test server itself does not tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

HOPS = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding"}  # of one connection alone


@contextmanager
def watched(server: str) -> Iterator[tuple[str, dict[str, int]]]:
    """The proxy's address, and by run the exit code that it was ended with."""
    ends: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/file_stream"):
                told = json.loads(body)
                if told.get("complete"):
                    ends[self.path.split("/")[-2]] = told["exitcode"]
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
            asked = Request(f"{server}{self.path}", body or None, headers, method=self.command)
            try:
                with urlopen(asked, timeout=30) as answer:
                    self._answer(answer.status, answer.headers, answer.read())
            except HTTPError as error:
                self._answer(error.code, error.headers, error.read())

        def _answer(self, status: int, headers: object, body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():  # type: ignore[attr-defined]
                if name.lower() not in HOPS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = _pass_on

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    class Proxy(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A run that was killed hangs up."""

    with Proxy(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}", ends
        finally:
            proxy.shutdown()
