"""A token service over HTTP with Keystone's requests and responses, which holds unknown tokens up while it is told to."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class TokenService:
    """`with TokenService(good="project-1") as service`: the tokens that it knows, each with its project.

    While `answering_unknown` is not set, requests about other tokens wait.
    """

    def __init__(self, **known: str) -> None:
        self.known = known
        self.asked: list[str] = []
        self.answering_unknown = threading.Event()
        self.answering_unknown.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.respond(201, {"token": {}}, {"X-Subject-Token": "ours"})

            def do_GET(self) -> None:
                token = self.headers["X-Subject-Token"]
                service.asked.append(token)
                if token not in service.known:
                    service.answering_unknown.wait()
                    self.respond(404, {"error": {}})
                    return
                facts: dict[str, Any] = {
                    "expires_at": "2999-01-01T00:00:00.000000Z",
                    "project": {"id": service.known[token]},
                    "roles": [{"name": "member"}],
                }
                self.respond(200, {"token": facts})

            def respond(self, status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def settings(self) -> dict[str, str]:
        """The members of an edge's file that names it."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {"url": url, "username": "taskstream", "password": "sesame", "project": "service"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answering_unknown.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
