"""The command ``luau-rft score``."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.scorers.base import Finding
from luau_rft.scorers.composite import MAX_CHARACTERS, Scores, score_code

VALUES = ("syntax", "api", "bugs", "quality", "composite")
SUFFIXES = (".lua", ".luau")


def score_paths(paths: Iterable[str], format: str = "text", fail_under: float | None = None) -> int:
    """Score files, the Luau files of folders, and with ``-`` the standard input; print the result.

    ``format`` is text or json. Returns 1 when a composite is below ``fail_under``, else 0. What can be read is scored;
    a ``UserError`` names the rest at the end.
    """
    if format not in ("text", "json"):
        raise UserError(f"--format: {format!r} is unknown; write text or json")
    results: list[tuple[str, str, Scores]] = []
    problems: list[str] = []
    for name in (file for path in paths for file in _files(path)):
        try:
            source = _read(name)
            results.append((name, source, score_code(source)))
        except UserError as error:
            problems.append(str(error))
    if format == "json":
        print(json.dumps([_as_json(path, scores) for path, _, scores in results], indent=2, ensure_ascii=False))
    else:
        _print_text(results)
    if problems:
        raise UserError("\n".join(problems))
    return int(fail_under is not None and any(scores.composite < fail_under for _, _, scores in results))


def _files(name: str) -> list[str]:
    """The Luau files of a folder; any other path is itself a file."""
    folder = Path(name)
    if name == "-" or not folder.is_dir():
        return [name]
    found = sorted(str(file) for file in folder.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not found:
        raise UserError(f"{name}: no .lua or .luau files in this folder")
    return found


def _read(name: str) -> str:
    limit = 4 * MAX_CHARACTERS  # bytes: a character takes at most 4
    try:
        if name == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(limit + 1)
        source = data[:limit].decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{name}: no such file or folder") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        what = "a binary file" if b"\0" in data else f"not UTF-8 ({error.reason} at byte {error.start})"
        raise UserError(f"{name}: {what}; only Luau source in UTF-8 can be scored") from None
    if len(data) > limit:
        raise UserError(f"{name}: more than {limit} bytes; Roblox accepts scripts of up to {MAX_CHARACTERS} characters")
    return source.replace("\r\n", "\n")


def _as_json(path: str, scores: Scores) -> dict[str, object]:
    values = {name: getattr(scores, name) for name in VALUES}
    return {"path": path, **values, "findings": [asdict(finding) for finding in scores.findings]}


def _print_text(results: list[tuple[str, str, Scores]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    for path, source, scores in results:
        lines = source.split("\n")
        for finding in scores.findings:
            place = Text.assemble((f"{path}:{finding.line}:{finding.column}", "bold"), ": ", finding.message)
            console.print(place.append(f" [{finding.scorer}/{finding.rule}] -{finding.penalty:.2f}", "dim"))
            console.print(Text(_caret(lines, finding), "dim"))
        values = ", ".join(f"{name} {getattr(scores, name):.2f}" for name in VALUES[:-1])
        console.print(Text.assemble((path, "bold"), f": {values}: ", (f"composite {scores.composite:.2f}", "bold")))
        if not scores.has_substance:
            console.print(Text(f"{path}: fewer than 3 statements do something: composite at most 0.2", "dim"))


def _caret(lines: list[str], finding: Finding) -> str:
    """The source line, and below it a caret under the finding's column."""
    line = lines[finding.line - 1] if finding.line <= len(lines) else ""
    start = max(0, finding.column - 60)
    shown = line[start : start + 120].expandtabs(4)
    under = len(line[start : finding.column - 1].expandtabs(4))
    return f"    {shown}\n    {' ' * under}^"
