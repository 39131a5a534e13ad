"""Results as text for people: every finding with its source line and a caret, then the values."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from luau_rft.scorers.base import Finding
from luau_rft.scorers.composite import SCORERS
from luau_rft.scorers.explain import price

if TYPE_CHECKING:
    from luau_rft.scorers.command import Result

SHOWN = 120  # characters of a source line
SEVERE = 0.15  # a penalty from which a finding is red


def show(results: "Iterable[Result]", fail_under: float | None = None) -> None:
    """Print results as they come, and of several a summary."""
    style = _styles()
    composites: list[tuple[float, str]] = []  # of files that have something to score
    judged: list[float] = []
    findings = 0
    for result in results:
        path, scores, lines = printable(result.path), result.scores, result.source.split("\n")
        for finding in scores.findings:
            cost = f" -{price(finding.penalty)}" if finding.penalty > 0 else ""  # the rule's limit may be reached
            mark = style(f" [{finding.scorer}/{finding.rule}]{cost}", "dim")
            colour = "red" if finding.penalty >= SEVERE else "yellow"
            place = style(f"{path}:{finding.line}:{finding.column}", "bold")
            print(f"{place}: {style(printable(finding.message), colour)}{mark}")
            source, caret = excerpt(lines, finding)
            print(f"    {source}\n    {style(caret, colour)}")
        values = ", ".join(f"{name} {getattr(scores, name):.2f}" for name in SCORERS)
        print(f"{style(path, 'bold')}: {values}: {style(f'composite {scores.composite:.2f}', 'bold')}")
        if result.cap is not None:
            print(style(f"{path}: {result.cap}", "dim"))
        if result.is_data:
            print(style(f"{path}: holds data only, nothing to score: --fail-under goes by its findings", "dim"))
        else:
            composites.append((scores.composite, path))
        judged.append(result.value)
        findings += len(scores.findings)
    if len(judged) > 1:
        _summarise(composites, judged, findings, fail_under)


def _summarise(
    composites: list[tuple[float, str]], judged: list[float], findings: int, fail_under: float | None
) -> None:
    told = [f"{findings} findings"]
    if composites:
        told.insert(0, f"mean composite {sum(value for value, _ in composites) / len(composites):.2f}")
        worst = ", ".join(f"{path} {value:.2f}" for value, path in sorted(composites)[:3])
        told[-1] += f"; worst: {worst}"
    if data := len(judged) - len(composites):
        told.insert(0, f"{data} with data only")
    print(f"\n{len(judged)} files: {', '.join(told)}")
    if fail_under is not None:
        below = sum(not value >= fail_under for value in judged)
        print(f"{below} of {len(judged)} files are below {fail_under:g}")


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
