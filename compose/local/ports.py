"""Ports of this machine: a free one, and whether one is taken. It knows no server."""

from __future__ import annotations

import itertools
import random
import socket

from taskstream.compose.errors import PortInUseError

# Below the range from which systems take the ports of outgoing connections: a client that keeps knocking at a stopped
# server's port in that range can be given the very same port, connect to itself, and keep the server from returning.
FREE_PORTS = range(11_000, 32_000)


def free_port() -> int:
    """A port nobody listens on at this moment. Raises PortInUseError."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on at this moment. Raises PortInUseError."""
    candidates = random.SystemRandom().sample(FREE_PORTS, 100 + count)
    ports = list(itertools.islice(filter(is_free, candidates), count))
    if len(ports) < count:
        raise PortInUseError(f"fewer than {count} free ports between {FREE_PORTS.start} and {FREE_PORTS.stop - 1}")
    return ports


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now; a connection still closing (TIME_WAIT) does not count."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True
