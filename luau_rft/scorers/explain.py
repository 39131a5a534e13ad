"""What a rule looks for, in words and examples: read from the docstring of its check.

The first paragraph says what is found. Programs that break the rule stand indented under ``Bad:``, programs that keep
it under ``Good:``; both are tested. ``Kind:`` names the kind of script that they are, ``Like:`` the lints of other
tools that warn of the same.
"""

import inspect
import re
from dataclasses import dataclass

from luau_rft.scorers.base import Rule

_SECTIONS = ("Bad", "Good", "Kind", "Like")


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
    >>> explain(RULES.rules["endless-loop"]).bad
    ('while true do\\n    workspace.Name = "a"\\nend',)
    """
    text = inspect.getdoc(rule.check) or ""
    parts = re.split(rf"^({'|'.join(_SECTIONS)}):", text, flags=re.MULTILINE)
    sections: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    for name, content in zip(parts[1::2], parts[2::2], strict=True):
        sections[name].append(inspect.cleandoc(content))
    like = " ".join(sections["Like"])
    return Explanation(
        what=" ".join(parts[0].split()),
        bad=tuple(sections["Bad"]),
        good=tuple(sections["Good"]),
        kind=" ".join(sections["Kind"]) or None,
        like=tuple(name.strip() for name in like.split(",") if name.strip()),
    )
