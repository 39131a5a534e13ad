"""A Ray cluster of two nodes on this machine, and the death of one."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luau_rft.cluster import Work
from luau_rft.errors import UserError

TIMEOUT_S = 60.0


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Two nodes of one CPU each, their processes ended with the block; the first is the head."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on every system: nodes on the loopback address alone
    from ray.cluster_utils import Cluster

    small = {
        "num_cpus": 1,
        "object_store_memory": 80 * 2**20,
        "include_dashboard": False,
        "node_ip_address": "127.0.0.1",
    }
    cluster = Cluster(initialize_head=True, head_node_args=small)
    try:
        cluster.add_node(**small)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


@dataclass
class Loss:
    """What was there when the node was killed."""

    parts: int = 0
    workers: list[str] = field(default_factory=list)  # states of the node's workers


@contextmanager
def second_node_lost(cluster: Any, parts: Path, after: int) -> Iterator[Loss]:
    """Kill the second node, every process of it, as soon as ``after`` parts are there and a worker runs on it."""
    loss = Loss()
    (node,) = cluster.worker_nodes
    stop = threading.Event()

    def kill() -> None:
        import ray

        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until and not stop.is_set():
            count = len(list(parts.glob("**/*.parquet")))
            if count >= after and ray.is_initialized():
                actors = ray._private.state.actors().values()
                workers = [actor["State"] for actor in actors if actor["Address"]["NodeID"] == node.node_id]
                if "ALIVE" in workers:
                    cluster.remove_node(node, allow_graceful=False)
                    loss.parts, loss.workers = count, workers
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield loss
    finally:
        stop.set()
        killer.join()


def refusing(message: str) -> Work:
    """Work for which the user has to mend something."""
    raise UserError(message)


def deadly() -> Work:
    """Work that ends its process."""
    return lambda payload: os._exit(1)
