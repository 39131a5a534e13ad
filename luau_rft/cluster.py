"""Units of work on a Ray cluster: each writes a parquet part into a shared folder, the parts become one sorted table.

The process that starts the run holds no more of it than the units in work and a block of the table. It hands out units,
a few at a time, and remembers which parts are there; a unit whose worker or node dies is handed out again, and a run
that was killed goes on with the units whose parts are missing.
"""

import io
import os
import pickle
import platform
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.errors import UserError

if TYPE_CHECKING:
    import pyarrow.dataset

PACKAGE = Path(__file__).parent
MARKER = ".run"  # a file in the parts' folder, by which a worker knows that its node sees the same folder
ATTEMPTS = 4  # workers that may die over one unit before the unit is blamed
FAILED_STARTS = 8  # in a row, before the cluster is blamed
CONNECT_TIMEOUT_S = 10.0
LOOK_EVERY_S = 5.0  # for nodes that joined or left
PATIENCE_S = 60.0  # without any worker before the user is told
ROWS_AT_ONCE = 100_000  # of the final table, held in memory together


class ClusterParams(Params):
    """Where units run and where their parts lie; the sections ``score.ray`` and ``generate.ray`` begin with it."""

    address: str | None  # null starts a cluster on this machine; auto, host:port or ray://host:port joins one
    storage: str = Field(min_length=1)  # a folder that every node sees under this name, or a URL such as s3://...
    workers: int | None = Field(gt=0)  # null: as many as the nodes have room for
    cpus: int = Field(gt=0)  # of a worker


@dataclass
class Unit:
    """A piece of work; ``name`` is its part's, so it has to say all that determines the rows."""

    name: str
    payload: Any
    size: int  # what it counts for in the progress bar
    attempts: int = field(default=0, compare=False)


# Made on a worker, once: from a unit's payload to the rows of its part.
Work = Callable[[Any], pl.DataFrame]


@contextmanager
def connected(params: ClusterParams, section: str) -> Iterator[None]:
    """Hold a connection to the cluster that ``params`` name, or a cluster of this machine's own.

    The nodes get this package as it is here; what it depends on has to be installed there. Raises ``UserError`` naming
    the field below ``section`` when there is no Ray here or no cluster there.
    """
    ray = import_ray(section)
    options = {
        "runtime_env": {"py_modules": [str(PACKAGE)], "excludes": ["__pycache__"]},
        "logging_level": "error",
        "log_to_driver": False,
        "configure_logging": True,
    }
    if params.address is None:
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        _knock(params.address, section)
    try:
        ray.init(address=params.address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise UserError(
            f"params.yaml: {section}.address: cannot join {params.address or 'a cluster of this machine'} "
            f"({_short(error)}); `ray start --head` starts a cluster, null one for the run alone"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def import_ray(section: str) -> Any:
    """The module ray, its reports about usage switched off unless the environment asks for them."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what a later version will do, without a warning
    try:
        import ray
    except ImportError:
        raise UserError(f"params.yaml: {section}: needs the package ray; run `pip install 'luau_rft[ray]'`") from None
    return ray


def _knock(address: str, section: str) -> None:
    """Ray itself would wait a minute for a host that does not answer."""
    import socket

    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        if address in ("auto", "ray://auto") or address.startswith("ray://"):
            return
        raise UserError(
            f"params.yaml: {section}.address: {address!r}: expected null, auto, host:port or ray://host:port"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"params.yaml: {section}.address: nothing answers at {address} ({error}); `ray start --head` starts a "
            "cluster and prints its address"
        ) from None


class Folder:
    """The parts of one run: a local or shared folder, or a place in an object store."""

    def __init__(self, storage: str, *names: str) -> None:
        import fsspec

        self.is_local = "://" not in storage
        self.url = "/".join([str(Path(storage).absolute()) if self.is_local else storage.rstrip("/"), *names])
        with self._reached():
            self.filesystem, self.root = fsspec.core.url_to_fs(self.url)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # every kind of storage has exceptions of its own
            raise UserError(
                f"params.yaml: ray.storage: {platform.node()} cannot use {self.url} ({_short(error)}); name a folder "
                "that all nodes share and may write to, or a URL such as s3://bucket/folder with credentials on all"
            ) from None

    def make(self) -> None:
        """Make the folder and leave the marker in it."""
        with self._reached():
            if self.is_local:
                Path(self.root).mkdir(parents=True, exist_ok=True)
            self.filesystem.pipe_file(f"{self.root}/{MARKER}", b"luau_rft")

    def has_marker(self) -> bool:
        """Whether this is the folder that ``make`` made, and no other one of the same name."""
        with self._reached():
            return self.filesystem.exists(f"{self.root}/{MARKER}")

    def parts(self) -> list[str]:
        """The finished parts' paths in the file system, sorted."""
        with self._reached():
            self.filesystem.invalidate_cache()
            return sorted(self.filesystem.glob(f"{self.root}/*.parquet"))

    def names(self) -> set[str]:
        """The units whose parts are there."""
        return {Path(path).stem for path in self.parts()}

    def dataset(self) -> "pyarrow.dataset.Dataset":
        """All finished parts, to be streamed."""
        import pyarrow.dataset

        return pyarrow.dataset.dataset(self.parts(), format="parquet", filesystem=self.filesystem)

    def write(self, frame: pl.DataFrame, name: str) -> None:
        """Write a part whole or not at all; the same unit's part from another worker is replaced."""
        final = f"{self.root}/{name}.parquet"
        with self._reached():
            if not self.is_local:
                buffer = io.BytesIO()
                frame.write_parquet(buffer, compression="zstd")
                self.filesystem.pipe_file(final, buffer.getvalue())
                return
            temporary = f"{self.root}/.{name}.{uuid.uuid4().hex}"
            try:
                frame.write_parquet(temporary, compression="zstd")
                os.replace(temporary, final)
            finally:
                Path(temporary).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder with all its parts, if it is there."""
        if self.is_local:
            shutil.rmtree(self.root, ignore_errors=True)
            return
        with self._reached():
            self.filesystem.invalidate_cache()
            if self.filesystem.exists(self.root):
                self.filesystem.rm(self.root, recursive=True)


class _Worker:
    """An actor: it makes its work once and then does units."""

    def start(self, make: bytes, folder: str, section: str) -> None:
        import ray

        node = ray.util.get_node_ip_address()
        self._folder = Folder(folder)
        if not self._folder.has_marker():
            raise UserError(
                f"params.yaml: {section}.storage: node {node} does not see {folder} as this machine does; name a "
                "folder that all nodes share, or an s3:// URL"
            )
        try:
            work, arguments = pickle.loads(make)
            self._work = work(*arguments)
        except ImportError as error:
            raise UserError(
                f"params.yaml: {section}: node {node} lacks a package ({error}); install there what `pip install "
                "'luau_rft[ray]'` installs, in the versions of constraints.txt"
            ) from None

    def do(self, payload: Any, name: str) -> None:
        self._folder.write(self._work(payload), name)


def run(
    units: Iterable[Unit],
    make: Callable[..., Work],
    arguments: Sequence[Any],
    folder: Folder,
    params: ClusterParams,
    section: str,
    advance: Callable[[int], None],
) -> None:
    """Have every unit's part in ``folder``; needs ``connected``.

    ``make(*arguments)`` is called on each worker, so it has to live in this package and its arguments to be picklable.
    ``units`` is asked for the next unit only when a worker waits for it. Raises ``UserError`` for what the user can
    mend, on the nodes, too; an error of the work itself comes back as it is.
    """
    folder.make()
    there = folder.names()
    pool = _Pool(pickle.dumps((make, tuple(arguments))), folder, params, section)
    todo = iter(units)
    again: deque[Unit] = deque()
    try:
        while True:
            pool.grow()
            while pool.idle:
                unit = again.popleft() if again else next(todo, None)
                if unit is None:
                    break
                if unit.name in there:
                    advance(unit.size)
                    continue
                pool.give(unit)
            if pool.idle and not pool.busy:  # asked for a unit and got none
                return
            for unit, done in pool.wait():
                if done:
                    advance(unit.size)
                    continue
                unit.attempts += 1
                if unit.attempts == ATTEMPTS:
                    raise UserError(
                        f"params.yaml: {section}: {ATTEMPTS} workers died over the unit {unit.name}; smaller units or "
                        f"nodes with more memory may help. Finished units are kept in {folder.url}"
                    )
                again.append(unit)
    finally:
        pool.stop()


class _Pool:
    """As many workers as there is room for, on nodes that come and go."""

    def __init__(self, make: bytes, folder: Folder, params: ClusterParams, section: str) -> None:
        import ray

        self._ray = ray
        self._start = (make, folder.url, section)
        self._params = params
        self._section = section
        self._folder = folder
        # A dead worker is replaced here and not by Ray, which would hold its unit back until there is room for it.
        self._actor = ray.remote(num_cpus=params.cpus, max_restarts=0, max_task_retries=0)(_Worker).options(
            scheduling_strategy="SPREAD"
        )
        self._starting: dict[Any, Any] = {}  # what will be ready → the worker
        self.busy: dict[Any, tuple[Any, Unit]] = {}
        self.idle: list[Any] = []
        self._failed_starts = 0
        self._looked = 0.0
        self._lonely_since: float | None = time.monotonic()

    def grow(self) -> None:
        """Start workers where there is room for more, at most every few seconds."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        wanted = self._params.workers or sum(int(cpus // self._params.cpus) for cpus in nodes)
        if not wanted and not self.busy and not self.idle:
            raise UserError(
                f"params.yaml: {self._section}.cpus: no node has {self._params.cpus} CPUs, the largest {max(nodes):g}; "
                f"on a cluster that starts its nodes on demand, set {self._section}.workers to a number"
            )
        for _ in range(wanted - len(self._starting) - len(self.busy) - len(self.idle)):
            worker = self._actor.remote()
            self._starting[worker.start.remote(*self._start)] = worker
        if self._lonely_since and time.monotonic() - self._lonely_since > PATIENCE_S:
            self._lonely_since = None
            print(f"{self._section}: waiting for room for a worker ({self._params.cpus} CPUs)", flush=True)

    def give(self, unit: Unit) -> None:
        """Let an idle worker do a unit."""
        worker = self.idle.pop()
        self.busy[worker.do.remote(unit.payload, unit.name)] = (worker, unit)

    def wait(self) -> Iterator[tuple[Unit, bool]]:
        """The units that ended since, and whether their part is there."""
        pending = [*self._starting, *self.busy]
        ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0.05)
        if not ready:
            ready, _ = self._ray.wait(pending, num_returns=1, timeout=LOOK_EVERY_S)
        for reference in ready:
            if reference in self.busy:
                worker, unit = self.busy.pop(reference)
            else:
                worker, unit = self._starting.pop(reference), None
            alive = self._alive(reference)
            if alive:
                self.idle.append(worker)
                self._failed_starts = 0
                self._lonely_since = None
            elif unit is None:
                self._failed_starts += 1
                if self._failed_starts == FAILED_STARTS:
                    raise UserError(
                        f"params.yaml: {self._section}: {FAILED_STARTS} workers in a row died before they could start; "
                        "see the cluster's logs, by default in /tmp/ray on its nodes"
                    )
            if not alive:
                self._looked = 0.0  # another worker at once
            if unit is not None:
                yield unit, alive

    def _alive(self, reference: Any) -> bool:
        """Whether what a worker was asked to do is done; what is nobody's fault but the node's is no error."""
        errors = self._ray.exceptions
        try:
            self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from None
            raise
        except errors.RuntimeEnvSetupError as error:
            raise UserError(
                f"params.yaml: {self._section}: a node cannot unpack this package ({_short(error)})"
            ) from None
        except errors.ActorDiedError as error:
            if error.actor_init_failed:
                raise UserError(f"params.yaml: {self._section}: a worker cannot start ({_short(error)})") from None
            return False
        except (errors.RayActorError, errors.NodeDiedError, errors.WorkerCrashedError, errors.ObjectLostError):
            return False
        except errors.RayError as error:
            raise UserError(
                f"params.yaml: {self._section}: the cluster failed ({_short(error)}); run the command again, finished "
                f"units are kept in {self._folder.url}"
            ) from None
        return True

    def stop(self) -> None:
        for worker in [*self._starting.values(), *(worker for worker, _ in self.busy.values()), *self.idle]:
            self._ray.kill(worker)


def write_table(
    sources: "Sequence[pyarrow.dataset.Dataset]",
    wanted: pl.DataFrame,
    on: Sequence[str],
    output: str | Path,
    table: str,
    columns: list[str] | None = None,
    finish: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame,
) -> None:
    """Write the rows of ``wanted``, each with what the sources hold for its columns ``on``, as a table.

    ``columns`` are read of the sources, by default all.
    ``wanted`` has the table's key, once each; the table is sorted by it. Of a row that the sources hold several times
    the first counts. A block of rows is in memory at a time; ``finish`` adds to a block what the sources do not hold.
    The table at ``output`` is replaced when the last block is written.
    """
    import pyarrow.parquet

    output = Path(output)
    key = tables.PRIMARY_KEYS[table]
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    schema = pl.DataFrame(schema=tables.SCHEMAS[table]).to_arrow().schema
    try:
        with pyarrow.parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for block in wanted.sort(key).iter_slices(ROWS_AT_ONCE):
                found = [
                    pl.from_arrow(batch).join(block, on=on)
                    for source in sources
                    for batch in source.to_batches(columns=columns, batch_readahead=2, fragment_readahead=2)
                ]
                rows = finish(pl.concat(found).unique(key, keep="first", maintain_order=True))
                if len(rows) != len(block):
                    raise UserError(f"{output}: {len(block) - len(rows)} rows were never made; run the command again")
                writer.write_table(tables.checked(rows, output, table).sort(key).to_arrow())
        os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)


def code_hash(folders: Sequence[str]) -> str:
    """A hash of this package's code and data in some of its folders."""
    files = sorted(path for name in folders for path in (PACKAGE / name).rglob("*") if path.suffix in (".py", ".json"))
    return tables.content_hash(*([str(f.relative_to(PACKAGE)), sha256(f.read_bytes()).hexdigest()] for f in files))


def _short(error: BaseException) -> str:
    """The last line that says something, where Ray tells a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
