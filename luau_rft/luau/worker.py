"""The worker process of the sandbox: holds a VM with the engine in it, and forks itself for every run.

    python -m luau_rft.luau.worker      (started by ``sandbox.Sandbox``; talks over stdin and stdout)

A message is 4 bytes of length, little-endian, and JSON. In comes a ``Program``; out go as many reports as it has runs:
one, or one a check. The fork is what makes a VM fresh in a millisecond, and what lets nothing survive a crash.

Luau orders table keys that are tables or functions by their address, so a run is repeatable only where addresses are.
Therefore the system's address randomisation is off, and the worker itself never looks at a program: it moves bytes
through buffers made at the start, so that its memory looks the same before every fork.
"""

import ctypes
import gc
import json
import mmap
import os
import resource
import select
import signal
import struct
import sys
import threading
import time
from typing import Any

from luau_rft.luau.native import native
from luau_rft.roblox import place
from luau_rft.roblox.api import Database, database
from luau_rft.roblox.scripts import Script, split

# Python 3.12 warns about every fork beside a thread; the only other thread here waits for this one to end.
COMMAND = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "luau_rft.luau.worker"]

_ADDR_NO_RANDOMIZE = 0x0040000
_BUFFER = 16 * 2**20
_PROCESS_OVERHEAD = 64 * 2**20  # address space that a run's process may take beside the VM's memory
_MAX_CHECKS = 250  # a child tells the number of runs by its exit status
_FAILED = 255
_BEGIN_S = 60.0  # for a fork to begin, however busy the machine is; only then does its own clock run

_DEAD = {
    "stage": "start", "checks": [], "passed": False, "output": [], "errors": [], "warnings": [], "not_modelled": [],
    "observed": {}, "trace": [], "virtual_seconds": 0.0,
}  # fmt: skip


def main() -> None:
    _fix_addresses()
    requests, answers = os.dup(0), os.dup(1)
    # The VM writes «Lua VM is being closed» to stdout, which would break the protocol.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    # A thread has an arena of its own in malloc. What depends on the paths of this installation is done before.
    native()
    engine = place.engine_files(), database()
    threading.stack_size(16 * 2**20)
    thread = threading.Thread(target=_serve, args=(*engine, requests, answers))
    thread.start()
    thread.join()


def _serve(sources: dict[str, str], api: Database, requests: int, answers: int) -> None:
    lua = place.new_vm()
    _Server(lua, place.load(lua, sources, api), requests, answers).serve()


def _fix_addresses() -> None:
    """Start over without address randomisation, where the system allows it."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    current = libc.personality(0xFFFFFFFF)
    if current != -1 and not current & _ADDR_NO_RANDOMIZE and libc.personality(current | _ADDR_NO_RANDOMIZE) != -1:
        os.execv(sys.executable, COMMAND)


class _Server:
    def __init__(self, lua: Any, engine: Any, requests: int, answers: int) -> None:
        self.lua, self.engine, self.requests, self.answers = lua, engine, requests, answers
        self.request, self.report = memoryview(_buffer()), memoryview(_buffer())
        self.killed = {limit: json.dumps({**_DEAD, "limit": limit, "message": message}).encode() for limit, message in (
            ("time", "killed: it hung"), ("crash", "the process crashed"),
        )}  # fmt: skip

    def serve(self) -> None:
        # Objects that the collector has no reason to touch stay shared with the forks.
        gc.collect()
        gc.freeze()
        gc.disable()
        while self._receive():
            number = total = 1
            while number <= total:
                runs = self._run(number)
                total = runs if number == 1 else total
                number += 1

    def _receive(self) -> bool:
        """Read one request into the buffer; its first 4 bytes stay its length."""
        have, need = 0, 4
        while have < need:
            got = os.readv(self.requests, [self.request[have:need]])
            if got == 0:
                return False
            have += got
            if have == 4:
                need = 4 + struct.unpack_from("<I", self.request)[0]
        return True

    def _run(self, number: int) -> int:
        """Fork for one run and send its report; returns how many runs the program has."""
        source, sink = os.pipe()
        child = os.fork()
        if child == 0:
            status = _FAILED
            try:
                status = self._child(number, sink)
            finally:
                os._exit(status)
        os.close(sink)
        size, limit, status = self._collect(source, child)
        os.close(source)
        if limit:
            _send(self.answers, self.killed[limit])
            return 1
        _send(self.answers, self.report[8:size])
        return status

    def _collect(self, source: int, child: int) -> tuple[int, str | None, int]:
        """Read the child's report until it ends or the wall clock kills it: size, the limit that ended it, status."""
        deadline = None
        size = 0
        limit = None
        while True:
            # The first 8 bytes tell how many seconds the run may take; the child sends them at once.
            wait = _BEGIN_S if deadline is None else max(deadline - time.monotonic(), 0)
            if not select.select([source], [], [], wait)[0]:
                limit = "time"
            else:
                got = os.readv(source, [self.report[size:]]) if size < _BUFFER else 0
                size += got
                if deadline is None and size >= 8:
                    deadline = time.monotonic() + struct.unpack_from("<d", self.report)[0]
                if got:
                    continue
            if limit or size == _BUFFER:
                os.kill(child, signal.SIGKILL)
            break
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if limit is None and not 0 < status <= _MAX_CHECKS:
            limit = "crash"
        return size, limit, status

    def _child(self, number: int, sink: int) -> int:
        program = json.loads(bytes(self.request[4 : 4 + struct.unpack_from("<I", self.request)[0]]))
        os.write(sink, struct.pack("<d", program["limits"]["wall_s"]))
        _restrict(program["limits"])
        report = _run(self.lua, self.engine, program, number)
        # What ends a run before its check began, a loop at the start of the candidate, ends all of them alike.
        decided = report["limit"] is not None and report["stage"] in ("checks", "setup", "start")
        _write(sink, json.dumps(report).encode())
        return 1 if decided else min(max(len(report["checks"]), 1), _MAX_CHECKS)


def _buffer() -> mmap.mmap:
    return mmap.mmap(-1, _BUFFER, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _restrict(limits: dict[str, Any]) -> None:
    if sys.platform.startswith("linux"):
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        space = used + limits["memory_mb"] * 2**20 + _PROCESS_OVERHEAD
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    seconds = int(limits["wall_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        resource.setrlimit(kind, (0, 0))


def _run(lua: Any, engine: Any, program: dict[str, Any], number: int) -> dict[str, Any]:
    """One run in this process, which ends with it."""
    limits = program["limits"]
    checks = None
    try:
        if program["checks"] is not None:
            checks = _load(lua, engine.get("environment")()[0], "checks", program["checks"])
    except RuntimeError as error:
        return {**_DEAD, "stage": "checks", "limit": None, "message": _message(error)}
    candidates = lua.create_table()
    for position, script in enumerate(split(program["source"], program["kind"]), start=1):
        candidates.set(position, _candidate(lua, engine, script))
    engine.get("configure")(place.to_table(lua, limits), program["trace"])
    lua.set_memory_limit(lua.used_memory() + limits["memory_mb"] * 2**20)
    left = _count_steps(lua, limits["steps"])
    limit = problem = None
    try:
        lua.create_thread(engine.get("run")).resume(candidates, checks, number)
    except (RuntimeError, MemoryError) as error:
        problem = _message(error)
        limit = "memory" if "not enough memory" in problem else None
    lua.remove_interrupt()
    lua.set_memory_limit(0)
    report = json.loads(engine.get("report")()[0].as_bytes().decode("utf-8", "replace"))
    return _complete(report, "time" if left[0] <= 0 else limit, problem)


def _candidate(lua: Any, engine: Any, script: Script) -> Any:
    """A script as the engine takes it; its lines count as in the answer that it is part of."""
    environment = engine.get("environment")()[0]
    facts = {"name": script.name, "path": script.path, "kind": script.kind, "folder": list(script.folder)}
    candidate = place.to_table(lua, facts)
    candidate.set("environment", environment)
    try:
        candidate.set("chunk", _load(lua, environment, script.path, "\n" * script.line + script.source))
    except RuntimeError as error:
        candidate.set("problem", _message(error))
    return candidate


def _message(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    return str(error).split("\nstack traceback")[0].removeprefix("syntax error: ").removeprefix("runtime error: ")


def _load(lua: Any, environment: Any, name: str, source: str) -> Any:
    return lua.load_chunk(source.encode("utf-8", "replace"), name=f"={name}", env=environment)


def _count_steps(lua: Any, budget: int) -> list[int]:
    """Let the VM run for ``budget`` calls and loop iterations; returns a box with what is left."""
    left = [budget]
    go_on, stop = native().VmState.Continue, native().VmState.Yield

    def interrupt(_lua: Any) -> Any:
        left[0] -= 1
        # An exception here would kill the process; a yield unwinds to whoever resumed the thread.
        return go_on if left[0] > 0 else stop

    lua.set_interrupt(interrupt)
    return left


def _complete(report: dict[str, Any], limit: str | None, problem: str | None) -> dict[str, Any]:
    report["limit"] = limit or report.get("limit")
    report["message"] = report.get("message") or problem
    report["passed"] = bool(report.get("passed"))
    if limit == "time":
        report["message"] = "the program did not come to an end within its steps"
        # The unwinding itself shows as an error wherever the VM cannot yield.
        report["errors"] = [error for error in report["errors"] if "attempt to yield across" not in error["message"]]
    return report


def _send(fd: int, data: Any) -> None:
    os.write(fd, struct.pack("<I", len(data)))
    _write(fd, data)


def _write(fd: int, data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


if __name__ == "__main__":
    main()
