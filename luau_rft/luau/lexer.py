"""Splits source into tokens, whether or not it is valid Luau."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# A string without its closing quote ends with the line, an open long bracket with the text: nothing is ever lost.
TOKEN = re.compile(
    r"""
    (?P<comment> --\[(?P<c>=*)\[ .*? (?:\](?P=c)\]|\Z) | --[^\n]* )
  | (?P<string> \[(?P<s>=*)\[ .*? (?:\](?P=s)\]|\Z)
              | "(?:\\.|[^"\\\n])*+"? | '(?:\\.|[^'\\\n])*+'?
              | `(?:\\.|[^`\\\n{]
                  | \{(?:[^{}`"']|"[^"\n]*"|'[^'\n]*'|`[^`\n]*`|\{[^{}]*\}){0,1000}+\})*+`? )
  | (?P<number> (?:0[xX][0-9a-fA-F_]*|0[bB][01_]*|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?) )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<symbol> \.\.\.|\.\.=|//=|&&|\|\||\+\+|\*\*|[=!]==|=>|[=~!<>]=|::|->|//|\.\.|[-+*/%^]= | \S )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class Token(NamedTuple):
    """``kind`` is comment, string, number, name or symbol; ``start`` counts characters from 0."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(source: str) -> Iterator[Token]:
    """Every token of ``source`` in order, comments included, blanks left out.

    >>> [token.text for token in tokens("x += 1 -- more")]
    ['x', '+=', '1', '-- more']
    """
    for match in TOKEN.finditer(source):
        yield Token(match.lastgroup, match[0], match.start())
