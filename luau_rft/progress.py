"""A progress bar with an ETA on a terminal; a plain line every few seconds in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOG_EVERY_S = 10.0


@contextmanager
def bar(description: str, total: int, note: Callable[[], str] = str) -> Iterator[Callable[[int], None]]:
    """Yield ``advance(n)``, to be called as the work goes on; ``total`` is in the same unit as ``n``. What ``note``
    returns is shown beside it.

    >>> with bar("scoring", total=2) as advance:
    ...     advance(2)
    scoring: 2/2 in 0s
    """
    if sys.stdout.isatty():
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        columns += (TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        with Progress(*columns) as progress:
            task = progress.add_task(description, total=total, note=note())
            yield lambda n=1: progress.update(task, advance=n, note=note())
        return

    def told() -> str:
        text = note()
        return f", {text}" if text else ""

    start = shown = time.monotonic()
    done = 0

    def advance(n: int = 1) -> None:
        nonlocal done, shown
        done += n
        now = time.monotonic()
        if now - shown >= LOG_EVERY_S and done < total:
            shown = now
            eta = (now - start) / max(done, 1) * (total - done)
            print(f"{description}: {done}/{total}, ETA {eta:.0f}s{told()}", flush=True)

    yield advance
    print(f"{description}: {done}/{total} in {time.monotonic() - start:.0f}s{told()}", flush=True)
