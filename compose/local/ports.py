"""Finds free TCP ports of this machine, and tests whether a port is free. It keeps none reserved."""

from __future__ import annotations

import itertools
import random
import socket

from taskstream.compose.errors import PortInUseError

# Below the ephemeral ports: a client that reconnects to a stopped server's port in that range can be assigned the same
# port as its own, connect to itself, and so keep the server from listening again.
FREE_PORTS = range(11_000, 32_000)


def free_port() -> int:
    """A port that is free at this moment.

    Raises:
        PortInUseError: none was found.
    """
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports that are free at this moment.

    Raises:
        PortInUseError: fewer than `count` were found.
    """
    candidates = random.SystemRandom().sample(FREE_PORTS, 100 + count)
    ports = list(itertools.islice(filter(is_free, candidates), count))
    if len(ports) < count:
        raise PortInUseError(f"fewer than {count} free ports between {FREE_PORTS.start} and {FREE_PORTS.stop - 1}")
    return ports


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server can listen on the port now. Connections in the state TIME_WAIT do not prevent it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True
