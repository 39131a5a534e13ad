"""The worker process of the sandbox: holds a VM with the engine in it, and forks itself for every run.

    python -m luau_rft.luau.worker      (started by ``sandbox.Sandbox``; talks over stdin and stdout)

A message is 4 bytes of length, little-endian, and JSON: a ``Program`` in, the list of its runs out. A program's checks
are separate runs. The fork is what makes a VM fresh in a millisecond, and what lets nothing survive a crash.
"""

import ctypes
import gc
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any

from luau_rft.luau.native import native
from luau_rft.roblox import place

_ADDR_NO_RANDOMIZE = 0x0040000
_MAX_REPORT = 16 * 2**20
_PROCESS_OVERHEAD = 64 * 2**20  # address space that a run's process may take beside the VM's memory


def main() -> None:
    _fix_addresses()
    requests, answers = os.dup(0), os.dup(1)
    # The VM writes «Lua VM is being closed» to stdout, which would break the protocol.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    lua = place.new_vm()
    engine = place.load(lua)
    # Objects that the collector has no reason to touch stay shared with the forks.
    gc.collect()
    gc.freeze()
    gc.disable()
    while header := _read(requests, 4):
        request = _read(requests, struct.unpack("<I", header)[0])
        answer = json.dumps(_runs(lua, engine, json.loads(request))).encode()
        os.write(answers, struct.pack("<I", len(answer)))
        _write(answers, answer)


def _fix_addresses() -> None:
    """Start over without address randomisation, where the system allows it.

    Luau orders table keys that are tables or functions by address, so that iteration is the same in all runs only where
    addresses are.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    current = libc.personality(0xFFFFFFFF)
    if current != -1 and not current & _ADDR_NO_RANDOMIZE and libc.personality(current | _ADDR_NO_RANDOMIZE) != -1:
        os.execv(sys.executable, [sys.executable, "-m", "luau_rft.luau.worker"])


def _runs(lua: Any, engine: Any, program: dict[str, Any]) -> list[dict[str, Any]]:
    first = _fork(lua, engine, program, 1)
    runs = [first]
    for number in range(2, len(first["checks"]) + 1):
        # What ends a run before its check began, a loop at the start of the candidate, ends all of them alike.
        decided = first["limit"] is not None and first["stage"] in ("checks", "setup", "start")
        runs.append(first if decided else _fork(lua, engine, program, number))
    return runs


def _fork(lua: Any, engine: Any, program: dict[str, Any], number: int) -> dict[str, Any]:
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(source)
            _restrict(program["limits"])
            _write(sink, json.dumps(_run(lua, engine, program, number)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(sink)
    report, timed_out = _collect(source, child, time.monotonic() + program["limits"]["wall_s"])
    os.close(source)
    if report is not None:
        return report
    return {
        "stage": "start", "checks": [], "passed": False, "limit": "time" if timed_out else "crash", "output": [],
        "errors": [], "warnings": [], "not_modelled": [], "observed": {}, "trace": [], "virtual_seconds": 0.0,
        "message": "killed: it hung" if timed_out else "the process crashed",
    }  # fmt: skip


def _collect(source: int, child: int, deadline: float) -> tuple[dict[str, Any] | None, bool]:
    """Read the child's report until it ends; kill it at the deadline. Returns the report, if whole, and timed out."""
    chunks: list[bytes] = []
    timed_out = False
    while True:
        ready, _, _ = select.select([source], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            timed_out = True
            os.kill(child, signal.SIGKILL)
            break
        data = os.read(source, 1 << 20)
        if not data:
            break
        chunks.append(data)
        if sum(map(len, chunks)) > _MAX_REPORT:
            os.kill(child, signal.SIGKILL)
            chunks.clear()
            break
    _, status = os.waitpid(child, 0)
    whole = not timed_out and status == 0 and chunks
    return (json.loads(b"".join(chunks)) if whole else None), timed_out


def _restrict(limits: dict[str, Any]) -> None:
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
    name = place.CHUNK_NAMES[program["kind"]]
    candidate = lua.create_table()
    checks = problem = limit = None
    try:
        for key, value in (("name", name), ("environment", engine.get("environment")()[0])):
            candidate.set(key, value)
        if program["checks"] is not None:
            checks = _load(lua, engine.get("environment")()[0], "checks", program["checks"])
        candidate.set("chunk", _load(lua, candidate.get("environment"), name, program["source"]))
    except RuntimeError as error:
        problem = str(error).removeprefix("syntax error: ").split("\nstack traceback")[0]
    engine.get("configure")(place.to_table(lua, limits), program["trace"])
    lua.set_memory_limit(lua.used_memory() + limits["memory_mb"] * 2**20)
    steps = _count_steps(lua, limits["steps"])
    thread = lua.create_thread(engine.get("run"))
    try:
        thread.resume(candidate, program["kind"], checks, number)
    except RuntimeError as error:
        problem = str(error).split("\nstack traceback")[0]
        limit = "memory" if "not enough memory" in problem else None
    except MemoryError:
        limit = "memory"
    if steps[0] <= 0:
        limit = "time"
    lua.remove_interrupt()
    lua.set_memory_limit(0)
    report = json.loads(engine.get("report")()[0].as_bytes().decode("utf-8", "replace"))
    return _complete(report, limit, problem)


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


def _read(fd: int, size: int) -> bytes:
    chunks = []
    while size:
        data = os.read(fd, size)
        if not data:
            return b""
        chunks.append(data)
        size -= len(data)
    return b"".join(chunks)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    main()
