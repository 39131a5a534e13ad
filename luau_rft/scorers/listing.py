"""Results as text for people: every finding with its source line and a caret, then the values."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from luau_rft.scorers.base import Finding
from luau_rft.scorers.composite import SCORERS

if TYPE_CHECKING:
    from luau_rft.scorers.command import Result

SHOWN = 120  # characters of a source line
SEVERE = 0.15  # a penalty from which a finding is red


def show(results: "Iterable[Result]", fail_under: float | None = None) -> None:
    """Print results as they come, and of several a summary."""
    style = _styles()
    composites: list[tuple[float, str]] = []
    findings = 0
    for result in results:
        path, scores, lines = printable(result.path), result.scores, result.source.split("\n")
        for finding in scores.findings:
            cost = f" -{finding.penalty:.2f}" if finding.penalty > 0 else ""  # the rule's limit may be reached
            mark = style(f" [{finding.scorer}/{finding.rule}]{cost}", "dim")
            colour = "red" if finding.penalty >= SEVERE else "yellow"
            place = style(f"{path}:{finding.line}:{finding.column}", "bold")
            print(f"{place}: {style(printable(finding.message), colour)}{mark}")
            source, caret = excerpt(lines, finding)
            print(f"    {source}\n    {style(caret, colour)}")
        values = ", ".join(f"{name} {getattr(scores, name):.2f}" for name in SCORERS)
        print(f"{style(path, 'bold')}: {values}: {style(f'composite {scores.composite:.2f}', 'bold')}")
        if not scores.has_substance:
            print(style(f"{path}: fewer than 3 statements do something: composite at most 0.2", "dim"))
        composites.append((scores.composite, path))
        findings += len(scores.findings)
    if len(composites) > 1:
        _summarise(composites, findings, fail_under)


def _summarise(composites: list[tuple[float, str]], findings: int, fail_under: float | None) -> None:
    mean = sum(value for value, _ in composites) / len(composites)
    worst = ", ".join(f"{path} {value:.2f}" for value, path in sorted(composites)[:3])
    print(f"\n{len(composites)} files: mean composite {mean:.2f}, {findings} findings; worst: {worst}")
    if fail_under is not None:
        below = sum(not value >= fail_under for value, _ in composites)
        print(f"{below} of {len(composites)} files are below {fail_under:g}")


def excerpt(lines: list[str], finding: Finding) -> tuple[str, str]:
    """The source line of a finding and a caret to go below it, at the first word where only the line is known.

    >>> excerpt(["if a != b then"], Finding("foreign-operator", "syntax", 1, 6, "not equal is written ~=", 0.05))
    ('if a != b then', '     ^')
    """
    line = lines[finding.line - 1] if finding.line <= len(lines) else ""
    column = finding.column - 1 or len(line) - len(line.lstrip())
    start = max(0, column - SHOWN // 2)
    before = printable(line[start:column].expandtabs(4))
    width = sum(_cells(character) for character in before)
    shown = printable(line[start : start + SHOWN].expandtabs(4))
    return shown, " " * width + "^"


def printable(text: str) -> str:
    r"""The text with whatever a terminal would obey, or would not show, as an escape.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _styles() -> Callable[[str, str], str]:
    """``style(text, name)``: coloured on a terminal, unless the user's environment says otherwise."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if "NO_COLOR" in os.environ or not (is_terminal or "FORCE_COLOR" in os.environ):
        return lambda text, name: text
    from typer import style

    looks = {"bold": {"bold": True}, "dim": {"dim": True}, "red": {"fg": "red"}, "yellow": {"fg": "yellow"}}
    return lambda text, name: style(text, **looks[name])
