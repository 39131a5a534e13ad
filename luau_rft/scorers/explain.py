"""What a rule looks for, in words and examples: read from the docstring of its check.

The first paragraph says what is found. Programs that break the rule stand indented under ``Bad:``, programs that keep
it under ``Good:``; both are tested. ``Kind:`` names the kind of script that they are, ``Like:`` the lints of other
tools that warn of the same.
"""

import inspect
import re
from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import indent

from luau_rft.errors import UserError
from luau_rft.scorers.base import Rule

_SECTIONS = ("Bad", "Good", "Kind", "Like")
TOO_LONG = "A text of more than 200,000 characters, which Roblox does not accept: it scores 0 and is not looked at."


@dataclass(frozen=True, slots=True)
class Explanation:
    """``bad`` and ``good`` are programs, ``like`` other tools' lints, such as ``selene almost_swapped``."""

    what: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    kind: str | None
    like: tuple[str, ...]


def explain(rule: Rule) -> Explanation:
    """The explanation of a rule.

    >>> from luau_rft.scorers.bugs import RULES
    >>> explain(RULES.rules["endless-loop"]).bad[0]
    'while true do\\n    workspace.Name = "a"\\nend'
    """
    text = inspect.getdoc(rule.check) or ""
    parts = re.split(rf"^({'|'.join(_SECTIONS)}):", text, flags=re.MULTILINE)
    sections: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    for name, content in zip(parts[1::2], parts[2::2], strict=True):
        sections[name].append(inspect.cleandoc(content))
    like = " ".join(sections["Like"])
    return Explanation(
        what=" ".join(parts[0].split()).replace("``", "`"),
        bad=tuple(sections["Bad"]),
        good=tuple(sections["Good"]),
        kind=" ".join(sections["Kind"]) or None,
        like=tuple(name.strip() for name in like.split(",") if name.strip()),
    )


def price(penalty: float) -> str:
    """A penalty as it is shown: with two decimals, or three where it has them.

    >>> price(0.5), price(0.015)
    ('0.50', '0.015')
    """
    return f"{penalty:.3f}".removesuffix("0")


def all_rules() -> dict[str, tuple[str, Rule]]:
    """Scorer and rule by id, in the order of the tables."""
    from luau_rft.scorers import api, bugs, quality, syntax

    tables = (syntax.RULES, api.RULES, bugs.RULES, quality.RULES)
    return {id: (table.scorer, rule) for table in tables for id, rule in table.rules.items()}


def explain_in_text(name: str) -> str:
    """What ``luau-rft score --explain`` prints; the name may be written as in a finding, such as ``bugs/nil-index``.

    >>> print(explain_in_text("bugs/endless-loop").split("\\n")[0])
    endless-loop (bugs): 0.80 a finding, at most 0.80
    """
    id = name.rpartition("/")[2].replace("_", "-").lower()
    rules = all_rules()
    if id == "too-long":
        return TOO_LONG
    if id not in rules:
        near = get_close_matches(id, rules, n=3, cutoff=0.5) or [other for other in rules if id and id in other][:3]
        hint = f"near: {', '.join(near)}; " if near else ""
        raise UserError(f"--explain: there is no rule {name!r}; {hint}`luau-rft rules` lists them all")
    scorer, rule = rules[id]
    told = explain(rule)
    parts = [f"{id} ({scorer}): {price(rule.penalty)} a finding, at most {price(rule.limit)}", told.what, rule.why]
    for title, programs in (("Bad", told.bad), ("Good", told.good)):
        parts += [f"{title}:\n{indent(code, '    ')}" for code in programs]
    if told.like:
        parts.append(f"Like: {', '.join(told.like)}")
    return "\n\n".join(parts)


def markdown(rule: Rule) -> str:
    """A rule in Markdown, without a heading."""
    told = explain(rule)
    parts = [told.what]
    for title, programs in (("Bad", told.bad), ("Good", told.good)):
        for code in programs:
            fence = "````" if "```" in code else "```"
            parts.append(f"{title}{f' ({told.kind})' if told.kind else ''}:\n\n{fence}luau\n{code}\n{fence}")
    if told.like:
        parts.append(f"Like: {', '.join(told.like)}.")
    return "\n\n".join(parts)
