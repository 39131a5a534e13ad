"""The command ``luau-rft score``."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.scorers.base import Finding
from luau_rft.scorers.composite import MAX_CHARACTERS, Scores, score_code

VALUES = ("syntax", "api", "bugs", "quality", "composite")
SUFFIXES = (".lua", ".luau")


def score_paths(paths: Iterable[str], format: str = "text", fail_under: float | None = None) -> int:
    """Score files, the Luau files of folders, and with ``-`` the standard input; print the result.

    ``format`` is text or json. Returns 1 when a composite is below ``fail_under``, else 0.

    Raises ``UserError`` for what cannot be read as text.
    """
    results = [(path, source, score_code(source)) for path, source in _sources(paths)]
    if format == "json":
        print(json.dumps([_as_json(path, scores) for path, _, scores in results], indent=2, ensure_ascii=False))
    else:
        _print_text(results)
    return int(fail_under is not None and any(scores.composite < fail_under for _, _, scores in results))


def _sources(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in paths:
        path = Path(name)
        if name == "-":
            yield name, _decode(name, sys.stdin.buffer.read())
        elif path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not found:
                raise UserError(f"{path}: no .lua or .luau files in this folder")
            for file in found:
                yield str(file), _read(file)
        else:
            yield name, _read(path)


def _read(path: Path) -> str:
    try:
        return _decode(str(path), path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _decode(name: str, data: bytes) -> str:
    # A character takes at most 4 bytes: what is longer cannot be a script.
    if len(data) > 4 * MAX_CHARACTERS:
        raise UserError(f"{name}: {len(data)} bytes; Roblox accepts scripts of up to {MAX_CHARACTERS} characters")
    if b"\0" in data:
        raise UserError(f"{name}: a binary file, not Luau source")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


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
