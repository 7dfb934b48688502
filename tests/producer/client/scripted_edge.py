"""A real HTTP server that plays a script of responses: late, malformed, or none. It records every request."""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.waiting import LIMIT_S


@dataclass(frozen=True)
class ScriptedResponse:
    """One scripted response; `hang_up` closes the connection instead, `wait` is an event that delays the response."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    wait: threading.Event | None = None


def error(status: int, code: str, message: str, **headers: str) -> ScriptedResponse:
    body = json.dumps({"error_code": code, "error_msg": message}).encode()
    return ScriptedResponse(status, {"X-Request-Id": "req-7", **headers}, body)


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int


class ScriptedEdge:
    """`with ScriptedEdge(first, second, ...) as edge`: these responses in this order, then 200 (or `always`)."""

    def __init__(self, *script: ScriptedResponse, always: ScriptedResponse = ScriptedResponse()) -> None:
        self._script = deque(script)
        self.always = always
        self._lock = threading.Lock()
        self.requests: list[ReceivedRequest] = []
        self.acknowledged: list[ReceivedRequest] = []

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
        """The acknowledged bodies of one subtask, in order."""
        return [request.body for request in self.acknowledged if request.body["subtask_name"] == subtask]

    def last(self, subtask: str) -> dict[str, Any]:
        return self.bodies(subtask)[-1]

    def _respond(self, request: ReceivedRequest) -> ScriptedResponse:
        with self._lock:
            self.requests.append(request)
            response = self._script.popleft() if self._script else self.always
        if response.wait is not None:
            response.wait.wait(LIMIT_S)
        if response.status == 200 and not response.hang_up:
            self.acknowledged.append(request)
        return response


def _handler(edge: ScriptedEdge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size)
            if len(body) < size:  # its client was killed while it sent
                self.close_connection = True
                return
            document = json.loads(body) if body else {}
            response = edge._respond(
                ReceivedRequest(self.command, self.path, dict(self.headers), document, self.client_address[1])
            )
            if response.hang_up:
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in {**response.headers, "Content-Length": str(len(response.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.body)

        def do_GET(self) -> None:
            self.do_PUT()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
