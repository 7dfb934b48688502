"""A real Keystone on SQLite, on a free port, in a folder of its own; and what an operator does in it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

import urllib3

from tests.waiting import wait_until

INSIDE = Path(__file__).with_name("inside.py")


class Keystone:
    """`with Keystone(python, folder) as keystone`. A second one on the same folder has the same users and keys.

    `life_s` is how long the tokens live that this one gives out.
    """

    def __init__(self, python: Path, folder: Path, life_s: int = 3600, password: str = "") -> None:
        self.python = python
        self.folder = folder
        self.password = password or secrets.token_hex(8)  # as an argument it may not begin with a dash
        self._life_s = life_s
        self._http = urllib3.PoolManager(timeout=120, retries=3)
        self._port = 0
        self._admin = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._http.clear()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        name = f"life-{self._life_s}"
        config, said = self.folder / f"{name}.conf", self.folder / f"{name}.out"
        config.write_text(self._config(name))
        (self.folder / "keys").mkdir(exist_ok=True)
        environment = {**os.environ, "BOOTSTRAP_PASSWORD": self.password}
        with said.open("wb") as out:
            self._process = subprocess.Popen(
                [self.python, INSIDE, config, str(self._port)], cwd=self.folder, env=environment, stdout=out, stderr=out
            )
        wait_until(lambda: "listens on" in said.read_text() or self._process.poll() is not None)
        text = said.read_text()
        assert self._process.poll() is None, text
        self._port = int(text.rpartition("listens on ")[2])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def token(self, name: str, password: str, project: str | None = None) -> str:
        """A token by real password authentication, for the project if one is given."""
        user = {"name": name, "password": password, "domain": {"name": "Default"}}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
        if project is not None:
            auth["scope"] = {"project": {"name": project, "domain": {"name": "Default"}}}
        answer = self._http.request("POST", f"{self.url}/v3/auth/tokens", json={"auth": auth})
        assert answer.status == 201, answer.data
        return answer.headers["X-Subject-Token"]

    def revoke(self, token: str) -> None:
        answer = self._http.request(
            "DELETE", f"{self.url}/v3/auth/tokens", headers={"X-Auth-Token": token, "X-Subject-Token": token}
        )
        assert answer.status == 204, answer.data

    def project(self, name: str) -> str:
        """A new project's id."""
        return self._made("projects", {"project": {"name": name, "domain_id": "default"}})["project"]["id"]

    def user(self, name: str, password: str, project_id: str, role: str) -> None:
        """A new user with this role in the project; the role is made if it is not there."""
        document = {"user": {"name": name, "password": password, "domain_id": "default"}}
        user_id = self._made("users", document)["user"]["id"]
        found = self._as_admin("GET", f"roles?name={role}").json()["roles"]
        role_id = found[0]["id"] if found else self._made("roles", {"role": {"name": role}})["role"]["id"]
        answer = self._as_admin("PUT", f"projects/{project_id}/users/{user_id}/roles/{role_id}")
        assert answer.status == 204, answer.data

    def _made(self, path: str, document: dict[str, Any]) -> Any:
        answer = self._as_admin("POST", path, json=document)
        assert answer.status == 201, answer.data
        return answer.json()

    def _as_admin(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        self._admin = self._admin or self.token("admin", self.password, "admin")
        headers = {"X-Auth-Token": self._admin}
        return self._http.request(method, f"{self.url}/v3/{path}", headers=headers, **options)

    def _config(self, name: str) -> str:
        keys = self.folder / "keys"
        return "\n".join(
            [
                *("[DEFAULT]", f"log_file = {self.folder / name}.log"),
                *("[database]", f"connection = sqlite:///{self.folder / 'keystone.db'}"),
                *("[token]", f"expiration = {self._life_s}"),
                *("[fernet_tokens]", f"key_repository = {keys}"),
                *("[fernet_receipts]", f"key_repository = {keys}"),
                *("[credential]", f"key_repository = {keys}"),
                *("[cache]", "enabled = false", ""),
            ]
        )
