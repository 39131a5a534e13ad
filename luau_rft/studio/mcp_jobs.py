"""Blocking work of the MCP server's tools: in a thread, with progress, and stopped when the client cancels."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from luau_rft.errors import UserError
from luau_rft.luau.sandbox import Program, Result, Sandbox

T = TypeVar("T")

LOOK_S = 0.2  # how often it is looked whether there is something to tell
TELL_S = 1.0  # the longest without a word
ASK_S = 0.05  # how often work asks whether it was cancelled


_sandboxes: set[Sandbox] = set()  # in which something runs


class Stopped(Exception):
    """The client has cancelled the work."""


class Job:
    """What work in a thread has in common with the request that waits for it; ``message`` is told as its progress."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.stop = threading.Event()

    def check(self) -> None:
        """Raise ``Stopped`` where nobody waits any more."""
        if self.stop.is_set():
            raise Stopped

    @contextmanager
    def turn(self, gate: threading.Semaphore) -> Iterator[None]:
        """Hold ``gate``, which keeps too much from running at once; waiting for it can be cancelled, too."""
        message = self.message
        while not gate.acquire(timeout=ASK_S):
            self.message = "waiting for other calls"
            self.check()
        self.message = message
        try:
            yield
        finally:
            gate.release()


async def in_thread(context: Context, message: str, work: Callable[[Job], T]) -> T:
    """What ``work`` returns. Its progress is told in seconds, with a message, for nobody knows how many it will take.

    A cancelled request returns at once; the work notices by ``job.stop`` and ends soon after. Raises ``ToolError`` for
    what its caller can mend.
    """
    job = Job(message)

    async def tell() -> None:
        start = anyio.current_time()
        told, then = None, 0.0
        while True:
            elapsed = anyio.current_time() - start
            if told != job.message or elapsed - then >= TELL_S:
                told, then = job.message, elapsed
                await context.report_progress(round(elapsed, 3), message=told)
            await anyio.sleep(LOOK_S)

    async with anyio.create_task_group() as group:
        group.start_soon(tell)
        try:
            outcome = await anyio.to_thread.run_sync(_outcome, work, job, abandon_on_cancel=True)
        finally:
            job.stop.set()
        group.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        if isinstance(outcome, UserError):
            raise ToolError(str(outcome)) from outcome
        raise outcome
    return outcome


def play(program: Program, job: Job) -> Result:
    """Run a program in a sandbox of its own, whose process is killed when the job is stopped."""
    with ThreadPoolExecutor(1) as helper, _sandbox() as sandbox:
        future = helper.submit(lambda: next(sandbox.run([program])))
        while True:
            try:
                return future.result(timeout=ASK_S)
            except TimeoutError:
                if sandbox.pids:  # there is something to kill, and leaving the sandbox does
                    job.check()


def wait_for_sandboxes(seconds: float) -> None:
    """Wait until nothing runs any more, for ``seconds`` at most; a job that was stopped ends its own soon."""
    deadline = time.monotonic() + seconds
    while _sandboxes and time.monotonic() < deadline:
        time.sleep(ASK_S)


@contextmanager
def _sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(processes=1)
    _sandboxes.add(sandbox)
    try:
        with sandbox:
            yield sandbox
    finally:
        _sandboxes.discard(sandbox)


def _outcome(work: Callable[[Job], T], job: Job) -> T | Exception:
    # A thread that was left behind has nobody to raise to.
    try:
        return work(job)
    except Exception as error:
        return error
