"""Three brokers whose clients come through proxies and whose disks can be full."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from taskstream.compose.local.local_cluster import LocalCluster
from taskstream.compose.local.ports import free_ports
from tests.pipeline.cluster.proxies import Proxies
from tests.pipeline.cluster.small_disk import SmallDisk

NODES = (1, 2, 3)


class FaultyCluster:
    """`with FaultyCluster(folder, cache_dir) as faulty:` starts disks, proxies and brokers.

    Brokers reach each other, and the test reaches them, without the proxies.
    """

    def __init__(self, folder: Path, cache_dir: Path) -> None:
        ports = free_ports(2 * len(NODES))
        self.proxy_ports = dict(zip(NODES, ports, strict=False))
        """[node id] The port that clients connect to."""
        self._behind = dict(zip(NODES, ports[len(NODES) :], strict=True))
        self.proxies = Proxies({self.proxy_ports[node]: self._behind[node] for node in NODES})
        self.disks = {node: SmallDisk(folder / f"disk-{node}") for node in NODES}
        self.brokers = LocalCluster(
            folder / "cluster", brokers=len(NODES), cache_dir=cache_dir, properties=self._properties
        )
        self._folder = folder
        self._open = ExitStack()

    @property
    def for_clients(self) -> str:
        """The addresses of the proxies."""
        return ",".join(f"127.0.0.1:{port}" for port in self.proxy_ports.values())

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for node, disk in self.disks.items():
                opened.enter_context(disk)
                broker = self._folder / "cluster" / f"broker-{node}"
                broker.mkdir(parents=True)
                (broker / "storage.new").symlink_to(disk.folder)  # a format ends with its rename to `storage`
            opened.enter_context(self.proxies)
            opened.enter_context(self.brokers)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _properties(self, node: int, port: int, controller_port: int) -> Mapping[str, str]:
        own = f"PLAINTEXT://127.0.0.1:{port}"
        controller = f"CONTROLLER://127.0.0.1:{controller_port}"
        return {
            "listeners": f"{own},{controller},PROXIED://127.0.0.1:{self._behind[node]}",
            "advertised.listeners": f"{own},PROXIED://127.0.0.1:{self.proxy_ports[node]}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
        }
