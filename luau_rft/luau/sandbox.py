"""Runs untrusted Luau programs in worker processes, each in a VM that no earlier program has touched.

Every run is a fork of a process that holds a fresh VM with the engine in it (``worker.py``), so nothing that a program
does outlives it. The limits stop loops, memory bombs and deep recursion; what hangs in native code or crashes is killed
and reported, and the pool goes on. The VM holds no function that reaches files, processes, the network or Python. What
this does not protect from is a hole in the VM itself: a program that breaks out of it has the rights of this user.
"""

import contextlib
import json
import os
import queue
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from luau_rft.luau.worker import COMMAND

Kind = Literal["server", "client", "module"]
Limit = Literal["time", "memory", "output", "recursion", "crash"]

_WORKER_DIED = {"message": "the worker died", "line": None, "traceback": [], "candidate": False}
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run (one check, or the whole of a program without checks) may use; verdicts rest on ``steps``.

    ``steps`` counts calls and loop iterations. ``seconds`` is virtual time. ``wall_s`` only kills what hangs.
    """

    steps: int = 2_000_000
    seconds: float = 600.0
    memory_mb: int = 64
    output_bytes: int = 65_536
    wall_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A candidate and the checks (source of a ``checks.luau``) to play against it, if any."""

    source: str
    kind: Kind = "server"
    checks: str | None = None
    limits: Limits = Limits()
    trace: int = 0  # how many effects of each run to record, in order, in ``Result.trace``


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``passed`` is None where the run met something that the engine does not model."""

    name: str
    use: str
    weight: float
    passed: bool | None
    message: str | None = None


@dataclass(slots=True)
class Result:
    """What the runs of a program showed, all checks together; each line of ``errors`` and ``warnings`` once.

    ``error`` is the first of ``errors``: {message, line, traceback, candidate}, ``line`` and ``traceback`` in the
    candidate's own lines, ``candidate`` false where the checks' own code raised it. ``output`` is that of the first
    run. ``observed`` holds the candidate's effects by kind: services, instances, events, methods. ``broken`` says why
    the checks or their setup cannot be played, whatever the candidate.
    """

    ok: bool = True
    error: dict[str, Any] | None = None
    output: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    limit: Limit | None = None
    not_modelled: list[str] = field(default_factory=list)
    observed: dict[str, list[str]] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    virtual_seconds: float = 0.0
    real_seconds: float = field(default=0.0, compare=False)  # of the wall clock, unlike all else here
    broken: str | None = None


class Sandbox:
    """A pool of worker processes.

    >>> with Sandbox(processes=1) as sandbox:
    ...     [result] = sandbox.run([Program("print(1 + 1)")])
    >>> result.output
    ['2']
    """

    def __init__(self, processes: int = 2) -> None:
        self._workers = [_Worker() for _ in range(processes)]
        self._threads: list[threading.Thread] = []
        self._closed = False

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        for worker in self._workers:
            worker.close()
        for thread in self._threads:
            thread.join()
        # A thread may have started a worker anew while the others were closed.
        for worker in self._workers:
            worker.close()

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that have started."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def run(self, programs: Iterable[Program]) -> Iterator[Result]:
        """Run programs in parallel; results come in the order of the programs, as soon as all before them are done."""
        for thread in self._threads:
            thread.join()  # an earlier run that nobody read to its end
        tasks = list(programs)
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in range(len(tasks)):
            todo.put(index)
        done: list[queue.SimpleQueue[Result | BaseException]] = [queue.SimpleQueue() for _ in tasks]

        def serve(worker: _Worker) -> None:
            while not self._closed:
                try:
                    index = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    done[index].put(worker.run(tasks[index]))
                except BaseException as error:
                    done[index].put(error)

        self._threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in self._workers]
        for thread in self._threads:
            thread.start()
        for box in done:
            outcome = box.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome


class _Worker:
    """One worker process, started when it is first needed and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def run(self, program: Program) -> Result:
        start = time.perf_counter()
        try:
            result = _merged(self._ask(json.dumps(asdict(program)).encode()))
        except (OSError, EOFError):
            # The worker itself died, which a program cannot bring about by known means; the next one gets a new worker.
            self.close()
            result = Result(ok=False, limit="crash", error=_WORKER_DIED)
        result.real_seconds = time.perf_counter() - start
        return result

    def _ask(self, request: bytes) -> list[dict[str, Any]]:
        if self._process is None:
            environment = {"PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": "0", "PATH": os.defpath, "TZ": "UTC"}
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", env=environment,
                start_new_session=True,
            )  # fmt: skip
        self._process.stdin.write(struct.pack("<I", len(request)) + request)
        self._process.stdin.flush()
        first = self._report()
        decided = first["limit"] is not None and first["stage"] in ("checks", "setup", "start")
        return [first, *(first if decided else self._report() for _ in first["checks"][1:])]

    def _report(self) -> dict[str, Any]:
        (size,) = struct.unpack("<I", self._read(4))
        return json.loads(self._read(size))

    def _read(self, size: int) -> bytes:
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def close(self) -> None:
        process, self._process = self._process, None
        if process:
            # The worker leads a session, so its fork dies with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # What was still to be written has no reader any more.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()


def _merged(runs: list[dict[str, Any]]) -> Result:
    result = Result(output=runs[0]["output"])
    kinds = ("services", "instances", "events", "methods")
    observed: dict[str, set[str]] = {kind: set() for kind in kinds}
    for run in runs:
        for name in ("errors", "warnings", "not_modelled"):
            known = getattr(result, name)
            known.extend(item for item in run[name] if item not in known)
        for kind in kinds:
            observed[kind].update(run["observed"].get(kind, ()))
        result.trace += run["trace"]
        result.limit = result.limit or run["limit"]
        result.virtual_seconds += run["virtual_seconds"]
    result.observed = {kind: sorted(names) for kind, names in observed.items()}
    for check, run in zip(runs[0]["checks"], runs, strict=False):
        result.checks.append(CheckResult(**check, passed=_verdict(run), message=run["message"]))
    if runs[0]["stage"] in ("checks", "setup"):
        result.broken = re.sub(r"^engine/\S+ ", "", runs[0]["message"] or "cannot be played")
    result.error = result.errors[0] if result.errors else None
    result.ok = result.error is None and result.limit is None
    return result


def _verdict(run: dict[str, Any]) -> bool | None:
    if run["not_modelled"]:
        return None
    return bool(run["passed"]) and run["limit"] is None
