"""A progress bar with an ETA on a terminal; a plain line every few seconds in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOG_EVERY_S = 10.0


@contextmanager
def bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield ``advance(n)``, to be called as the work goes on; ``total`` is in the same unit as ``n``.

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
        with Progress(*columns, TextColumn("ETA"), TimeRemainingColumn()) as progress:
            task = progress.add_task(description, total=total)
            yield lambda n=1: progress.advance(task, n)
        return

    start = shown = time.monotonic()
    done = 0

    def advance(n: int = 1) -> None:
        nonlocal done, shown
        done += n
        now = time.monotonic()
        if now - shown >= LOG_EVERY_S and done < total:
            shown = now
            eta = (now - start) / max(done, 1) * (total - done)
            print(f"{description}: {done}/{total}, ETA {eta:.0f}s", flush=True)

    yield advance
    print(f"{description}: {done}/{total} in {time.monotonic() - start:.0f}s", flush=True)
