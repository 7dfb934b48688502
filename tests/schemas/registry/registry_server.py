"""An in-memory schema registry for tests: the endpoints that confluent-kafka's client calls, over real HTTP.

Paths, codes and bodies follow Confluent's API reference. The compatibility check is BACKWARD by field names, types and
defaults.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Answer = tuple[int, Any]


class RegistryServer:
    """Its schemas, the requests it received, and optionally the credentials it requires or a fixed response."""

    def __init__(self) -> None:
        self.url = ""
        self.first_id = 101
        self.subjects: dict[str, list[int]] = {}
        self.schemas: dict[int, dict[str, str]] = {}
        self.levels: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.user: str | None = None
        """The `USER:PASSWORD` that requests must have."""
        self.always: tuple[int, str] | None = None
        """The status and body of every response, to imitate a server that is not a registry."""

    def add(self, text: str, subject: str = "elsewhere-value", schema_type: str = "AVRO") -> int:
        """Store a schema and return its id; an equal schema under another subject has the same id."""
        same = (number for number, held in self.schemas.items() if canonical(held["schema"]) == canonical(text))
        number = next(same, self.first_id + len(self.schemas))
        self.schemas.setdefault(number, {"schema": text, "schemaType": schema_type})
        if number not in self.subjects.setdefault(subject, []):
            self.subjects[subject].append(number)
        return number

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        """The status and JSON of one request."""
        for verb, pattern, handle in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return handle(self, *map(unquote, match.groups()), *([body] if body is not None else []))
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def names(self) -> Answer:
        return 200, [*self.subjects]

    def register(self, subject: str, body: dict[str, Any]) -> Answer:
        for version in range(1, len(self.subjects.get(subject, [])) + 1):
            if not self._fits(subject, version, body["schema"]):
                return 409, {
                    "error_code": 409,
                    "message": f"Schema is incompatible with version {version} of {subject}",
                }
        return 200, {"id": self.add(body["schema"], subject)}

    def look_up(self, subject: str, body: dict[str, Any]) -> Answer:
        if subject not in self.subjects:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        for version, number in enumerate(self.subjects[subject], 1):
            held = self.schemas[number]["schema"]
            if canonical(held) == canonical(body["schema"]):
                return 200, {"subject": subject, "id": number, "version": version, "schema": held}
        return 404, {"error_code": 40403, "message": "Schema not found"}

    def versions(self, subject: str) -> Answer:
        if subject not in self.subjects:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        return 200, list(range(1, len(self.subjects[subject]) + 1))

    def newest(self, subject: str) -> Answer:
        if subject not in self.subjects:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        number = self.subjects[subject][-1]
        version = len(self.subjects[subject])
        return 200, {"subject": subject, "id": number, "version": version, "schema": self.schemas[number]["schema"]}

    def fetch(self, number: str) -> Answer:
        held = self.schemas.get(int(number))
        if held is None:
            return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
        if held["schemaType"] == "AVRO":  # reformatted, and without the type, as in the real registry
            return 200, {"schema": json.dumps(json.loads(held["schema"]), separators=(",", ":"))}
        return 200, held

    def compare(self, subject: str, version: str, body: dict[str, Any]) -> Answer:
        if int(version) > len(self.subjects.get(subject, [])):
            return 404, {"error_code": 40402, "message": f"Version {version} not found."}
        return 200, {"is_compatible": self._fits(subject, int(version), body["schema"])}

    def level(self, subject: str) -> Answer:
        if subject not in self.levels:
            return 404, {"error_code": 40408, "message": "Subject does not have subject-level compatibility configured"}
        return 200, {"compatibilityLevel": self.levels[subject]}

    def global_level(self) -> Answer:
        return 200, {"compatibilityLevel": "BACKWARD"}

    def _fits(self, subject: str, version: int, text: str) -> bool:
        old = json.loads(self.schemas[self.subjects[subject][version - 1]]["schema"])
        new = json.loads(text)
        types = {each["name"]: each["type"] for each in old["fields"]}
        return all(
            each["type"] == types[each["name"]] if each["name"] in types else "default" in each
            for each in new["fields"]
        )


ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", r"/subjects", RegistryServer.names),
    ("POST", r"/subjects/([^/]+)/versions", RegistryServer.register),
    ("GET", r"/subjects/([^/]+)/versions", RegistryServer.versions),
    ("GET", r"/subjects/([^/]+)/versions/latest", RegistryServer.newest),
    ("POST", r"/subjects/([^/]+)", RegistryServer.look_up),
    ("GET", r"/schemas/ids/(\d+)", RegistryServer.fetch),
    ("POST", r"/compatibility/subjects/([^/]+)/versions/(\d+)", RegistryServer.compare),
    ("GET", r"/config/([^/]+)", RegistryServer.level),
    ("GET", r"/config", RegistryServer.global_level),
]


def canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Iterator[RegistryServer]:
    """Run a registry for the duration of the context; by default on a free port."""
    registry = RegistryServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # the body follows the headers in a second write

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any] | None) -> None:
            path = urlsplit(self.path).path
            registry.asked.append((self.command, path))
            status, content = registry.answer(self.command, path, body)
            wanted = registry.user and "Basic " + base64.b64encode(registry.user.encode()).decode()
            if wanted and self.headers.get("Authorization") != wanted:
                status, content = 401, {"error_code": 401, "message": "Unauthorized"}
            text = json.dumps(content)
            if registry.always:
                status, text = registry.always
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    registry.url = f"http://{host}:{server.server_address[1]}"
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
