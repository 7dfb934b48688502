"""A real HTTP server on a free port that answers as it is told: late, badly, not at all. It remembers what it heard."""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Says:
    """One answer; `hang_up` closes the connection without one, `wait` is an event that must be set first."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    wait: threading.Event | None = None


def error(status: int, code: str, message: str, **headers: str) -> Says:
    body = json.dumps({"error_code": code, "error_msg": message}).encode()
    return Says(status, {"X-Request-Id": "req-7", **headers}, body)


@dataclass(frozen=True)
class Heard:
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int


class MoodyEdge:
    """`with MoodyEdge(first, second, ...) as edge`: these answers in this order, and 200 (or `always`) from then on."""

    def __init__(self, *answers: Says, always: Says = Says()) -> None:
        self._answers = deque(answers)
        self.always = always
        self._lock = threading.Lock()
        self.heard: list[Heard] = []
        self.acknowledged: list[Heard] = []

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def bodies(self, subtask: str) -> list[dict[str, Any]]:
        """What was acknowledged of one subtask, in order."""
        return [heard.body for heard in self.acknowledged if heard.body["subtask_name"] == subtask]

    def last(self, subtask: str) -> dict[str, Any]:
        return self.bodies(subtask)[-1]

    def _hear(self, heard: Heard) -> Says:
        with self._lock:
            self.heard.append(heard)
            says = self._answers.popleft() if self._answers else self.always
        if says.wait is not None:
            says.wait.wait(20)
        if says.status == 200 and not says.hang_up:
            self.acknowledged.append(heard)
        return says


def _handler(edge: MoodyEdge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = json.loads(body) if body else {}
            says = edge._hear(Heard(self.command, self.path, dict(self.headers), said, self.client_address[1]))
            if says.hang_up:
                self.close_connection = True
                return
            self.send_response(says.status)
            for name, value in {**says.headers, "Content-Length": str(len(says.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(says.body)

        def do_GET(self) -> None:
            self.do_PUT()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
