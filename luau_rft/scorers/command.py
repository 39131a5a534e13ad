"""The command ``luau-rft score``."""

import json
import os
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.luau.substance import SUBSTANCE, is_data
from luau_rft.luau.tree import parse
from luau_rft.roblox.scripts import HOMES
from luau_rft.scorers import listing
from luau_rft.scorers.composite import CAP_BROKEN, CAP_NO_SUBSTANCE, MAX_CHARACTERS, SCORERS, Scores, score_code

VALUES = (*SCORERS, "composite")
FORMATS = ("text", "json", "sarif")
SUFFIXES = (".lua", ".luau")
MANY_FILES = 32  # from here on it pays to start processes


@dataclass(frozen=True, slots=True)
class Result:
    """A file's text and what the scorers say of it."""

    path: str
    source: str
    scores: Scores
    is_data: bool = False  # there is nothing to score (see ``luau/substance.py``)

    @property
    def cap(self) -> str | None:
        """Why the composite is capped."""
        if not self.scores.compiles:
            return f"it does not compile: composite at most {CAP_BROKEN}"
        if self.scores.has_substance:
            return None
        return f"fewer than {SUBSTANCE} statements do something: composite at most {CAP_NO_SUBSTANCE}"

    @property
    def value(self) -> float:
        """What ``--fail-under`` goes by: the composite, and for data what the findings leave of 1."""
        if not self.is_data:
            return self.scores.composite
        return 1 - sum(finding.penalty for finding in self.scores.findings) / len(SCORERS)


def score_paths(
    paths: Iterable[str],
    format: str = "text",
    fail_under: float | None = None,
    kind: str | None = None,
    jobs: int | None = None,
) -> int:
    """Score files, the Luau files of folders, and with ``-`` the standard input; print the results as they come.

    ``format`` is text, json or sarif; ``kind`` is server, client or module, by default what the file's name says;
    ``jobs`` is the number of processes for many files, by default one a CPU. Returns 1 when a composite is below
    ``fail_under``, else 0; files that only hold data have nothing to score and go by their findings. What can be read
    is scored; a ``UserError`` names the rest at the end.
    """
    _check(format, fail_under, kind, jobs)
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every character
    problems: list[str] = []
    names = _files(paths, problems)
    values: list[float] = []

    def results() -> Iterator[Result]:
        for result in _results(names, kind, jobs or _cpus()):
            if isinstance(result, Result):
                values.append(result.value)
                yield result
            else:
                problems.append(result)

    shown = _with_progress(results(), len(names))
    if format == "json":
        _print_json(shown)
    elif format == "sarif":
        from luau_rft.scorers import sarif

        print(json.dumps(sarif.log(shown, problems), indent=2))
    else:
        listing.show(shown, fail_under)
    if sys.stdout is not None:
        sys.stdout.flush()
    if problems:
        raise UserError("\n".join(problems))
    return int(fail_under is not None and not all(value >= fail_under for value in values))


def _check(format: str, fail_under: float | None, kind: str | None, jobs: int | None) -> None:
    if format not in FORMATS:
        raise UserError(f"--format: {format!r} is unknown; write one of {', '.join(FORMATS)}")
    if fail_under is not None and not 0 <= fail_under <= 1:  # nan is neither
        raise UserError(f"--fail-under: {fail_under} is no score; write a number from 0 to 1")
    check_kind(kind)
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs: {jobs} processes can do nothing; write a number from 1")


def check_kind(kind: str | None) -> None:
    """Raise ``UserError`` for what ``--kind`` does not know."""
    if kind is not None and kind not in HOMES:
        raise UserError(f"--kind: {kind!r} is unknown; write one of {', '.join(HOMES)}")


def _files(paths: Iterable[str], problems: list[str]) -> list[str]:
    """The paths, each once, and in the place of a folder its Luau files."""
    names: list[str] = []
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            names.append(path)
            continue
        told = len(problems)
        found = sorted(_walk(path, problems))
        names += found
        if not found and len(problems) == told:
            problems.append(f"{listing.printable(path)}: no .lua or .luau files in this folder")
    return list(dict.fromkeys(names))


def _walk(folder: str, problems: list[str]) -> Iterator[str]:
    """The Luau files below a folder; links to folders are not followed, as they may lead back."""

    def refused(error: OSError) -> None:
        problems.append(f"{listing.printable(error.filename)}: cannot be read ({error.strerror})")

    for parent, _, files in os.walk(folder, onerror=refused):
        yield from (str(Path(parent, file)) for file in files if file.endswith(SUFFIXES))


def _results(names: list[str], kind: str | None, jobs: int) -> Iterator[Result | str]:
    """The result of each file in order, or what keeps it from being scored."""
    kinds = [kind] * len(names)
    if jobs == 1 or len(names) < MANY_FILES or "-" in names:  # a process of the pool has no standard input
        yield from map(_result, names, kinds)
        return
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

    # An interrupt is for this process alone to handle.
    with ProcessPoolExecutor(jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            yield from pool.map(_result, names, kinds, chunksize=8)
        except BrokenProcessPool:
            raise UserError("a process that scored files was killed; find the file with --jobs 1") from None


def _result(name: str, kind: str | None) -> Result | str:
    try:
        source = read_source(name)
    except UserError as error:
        return str(error)
    scores = score_code(source, kind or kind_of(name))
    return Result(name, source, scores, scores.compiles and not scores.has_substance and is_data(parse(source)))


def kind_of(name: str) -> str | None:
    """The kind of script that a file's name tells, as Rojo reads it; None for others, be they modules or loose pieces.

    >>> kind_of("src/doors.server.luau")
    'server'
    """
    inner = Path(Path(name).stem).suffix[1:]
    return inner if inner in ("server", "client") else None


def read_source(name: str) -> str:
    """The Luau of a file, or of the standard input for ``-``. Raises ``UserError`` naming the file."""
    limit = 4 * MAX_CHARACTERS  # bytes: a character takes at most 4
    shown = listing.printable(name)
    try:
        if name == "-":
            if sys.stdin is None:
                raise UserError("-: there is no standard input")
            data = sys.stdin.buffer.read(limit + 1)
        elif not stat.S_ISREG(os.stat(name).st_mode):  # reading a pipe or a device may never end
            raise UserError(f"{shown}: neither a file nor a folder; pipe its content in and write - instead")
        else:
            with open(name, "rb") as file:
                data = file.read(limit + 1)
        source = data[:limit].decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{shown}: no such file or folder") from None
    except OSError as error:
        raise UserError(f"{shown}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        what = "a binary file" if b"\0" in data else f"not UTF-8 ({error.reason} at byte {error.start})"
        raise UserError(f"{shown}: {what}; only Luau source in UTF-8 can be scored") from None
    if len(data) > limit:
        raise UserError(
            f"{shown}: more than {limit} bytes; Roblox accepts scripts of up to {MAX_CHARACTERS} characters"
        )
    return source.replace("\r\n", "\n")


def _with_progress(results: Iterator[Result], total: int) -> Iterator[Result]:
    """The results, counted on the terminal if their own listing goes elsewhere."""
    if total < MANY_FILES or not sys.stderr or not sys.stderr.isatty() or (sys.stdout and sys.stdout.isatty()):
        yield from results
        return
    for done, result in enumerate(results, start=1):
        print(f"\rscoring: {done}/{total}", end="", file=sys.stderr, flush=True)
        yield result
    print("\r\033[K", end="", file=sys.stderr, flush=True)


def _print_json(results: Iterator[Result]) -> None:
    separator = "[\n"
    for result in results:
        values = {name: getattr(result.scores, name) for name in VALUES}
        entry = {"path": result.path, **values, "cap": result.cap, "data": result.is_data}
        entry["findings"] = [asdict(finding) for finding in result.scores.findings]
        print(separator + json.dumps(entry, indent=2), end="")
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
