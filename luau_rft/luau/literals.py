"""What literals hold, and whether the little languages in strings are well formed.

Each checker gives the problem as a message, None where there is none; the rules are those of Luau's own libraries.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from luau_rft.luau.tree import Node

_ESCAPE = re.compile(r"\\(?:z\s*|x[0-9a-fA-F]{2}|\d{1,3}|u\{[0-9a-fA-F]+\}|\r?\n|.)", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_LONG = re.compile(r"\[(=*)\[\r?\n?(.*)\]\1\]", re.DOTALL)

_FORMAT = re.compile(r"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<conversion>.?)", re.DOTALL)
_NUMBER = re.compile(r"\s*[-+]?(?:0x[\da-f]+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|inf|nan)\s*", re.IGNORECASE)
_NUMERIC = frozenset("cdiouxXeEfgG")
_DATE = frozenset("aAbBcdHIjmMpSUwWxXyYzZ%")
_PACK = re.compile(r"(?P<sized>[iIs!]\d*)|(?P<fixed>c\d*)|(?P<plain>[<>=bBhHlLjJTfdnzxX ])")
_CLASSES = frozenset("acdglpsuwxzACDGLPSUWXZ")
_MAX_CAPTURES = 32


@dataclass(frozen=True, slots=True)
class Conversion:
    """One ``%d`` of a format; ``is_number`` where only a number, or a text that is one, will do."""

    letter: str

    @property
    def is_number(self) -> bool:
        return self.letter in _NUMERIC


def number(node: Node | None) -> float | None:
    """The value of a number, with its sign; None for anything else.

    >>> from luau_rft.luau.tree import parse
    >>> number(parse("f(-1_0.5)").root.children[0].get("arguments").children[0])
    -10.5
    """
    sign = 1
    while node is not None and node.type in ("unary_expression", "parenthesized_expression"):
        if node.type == "unary_expression" and node.operator != "-":
            return None
        sign = -sign if node.type == "unary_expression" else sign
        node = node.get("operand") or (node.children[0] if node.children else None)
    if node is None or node.type != "number":
        return None
    text = node.text.replace("_", "").lower()
    try:
        return sign * float(int(text, 0) if text[:2] in ("0x", "0b") else float(text))
    except (ValueError, OverflowError):
        return None


def literal(node: Node) -> str | None:
    """The value of a string literal, None for anything else and for interpolated strings.

    >>> from luau_rft.luau.tree import parse
    >>> literal(parse(r'f("a\\tb")').root.children[0].get("arguments").children[0])
    'a\\tb'
    """
    if node.type != "string" or node.children:
        return None
    text = node.text
    if long := _LONG.fullmatch(text):
        return long[2]
    if len(text) < 2 or text[0] not in "\"'`" or text[-1] != text[0]:
        return None
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    body = match[0][1:]
    if body[0] == "z":
        return ""
    if body[0] == "x" and len(body) == 3:
        return chr(int(body[1:], 16))
    if body[0] == "u" and len(body) > 1:
        return chr(min(int(body[2:-1], 16), 0x10FFFF))
    return chr(int(body)) if body.isdigit() else _NAMED.get(body, body)


def is_numeric(text: str) -> bool:
    """Whether Luau takes a text for a number where it needs one."""
    return _NUMBER.fullmatch(text) is not None


@lru_cache(maxsize=256)
def conversions(text: str) -> tuple[Conversion, ...] | str:
    """The conversions of a format of ``string.format``, or what is wrong with it.

    >>> conversions("%d of %5.1f%%")
    (Conversion(letter='d'), Conversion(letter='f'))
    """
    found: list[Conversion] = []
    position = text.find("%")
    while position >= 0:
        if text.startswith("%%", position):
            end = position + 2
        else:
            match = _FORMAT.match(text, position)
            if match is None:  # cannot be: every part may be empty
                break
            if match["conversion"] not in _NUMERIC | set("qs*") or not match["conversion"]:
                return f"`{match[0]}` is no conversion; write %% for a percent sign"
            if len(match["width"]) > 2 or len(match["precision"] or "") > 2:
                return f"`{match[0]}` has more than two digits"
            found.append(Conversion(match["conversion"]))
            end = match.end()
        position = text.find("%", end)
    return tuple(found)


def date_problem(text: str) -> str | None:
    """What is wrong with a format of ``os.date``."""
    text = text.removeprefix("!")
    if text.startswith("*t"):
        return None
    for match in re.finditer(r"%(.?)", text, re.DOTALL):
        if match[1] not in _DATE or not match[1]:
            return f"`{match[0]}` is no conversion of os.date"
    return None


def pack_problem(text: str) -> str | None:
    """What is wrong with a format of ``string.pack`` and ``string.unpack``."""
    position = 0
    while position < len(text):
        match = _PACK.match(text, position)
        if match is None:
            return f"`{text[position]}` is no option"
        if match["fixed"] == "c":
            return "`c` needs a size, such as c8"
        size = match["sized"][1:] if match["sized"] else ""
        if size and match["sized"][0] != "s" and not 1 <= int(size[:4]) <= 16:
            return f"the size {size} is not between 1 and 16"
        position = match.end()
    return None


def replacement_problem(text: str, captures: int) -> str | None:
    """What is wrong with the replacement text of ``string.gsub``; ``captures`` is the number of the pattern's."""
    for match in re.finditer(r"%(.?)", text, re.DOTALL):
        letter = match[1]
        if letter != "%" and not ("0" <= letter <= "9"):
            return f"`{match[0]}` is no replacement; write %% for a percent sign"
        if letter.isdigit() and int(letter) > max(1, captures):
            return f"`{match[0]}` stands for a capture that the pattern does not have"
    return None


@lru_cache(maxsize=256)
def pattern_problem(pattern: str) -> tuple[str | None, int]:
    """What is wrong with a pattern of ``string.match``, and how many captures it has.

    >>> pattern_problem("(%d+)-[%w")
    ('`[` is never closed by `]`', 1)
    """
    captures, opened, at = 0, [], 1 if pattern.startswith("^") else 0
    while at < len(pattern):
        char, following = pattern[at], pattern[at + 1 : at + 2]
        if char == "(":
            captures += 1
            opened.append(captures)
            at += 1
            if captures > _MAX_CAPTURES:
                return f"more than {_MAX_CAPTURES} captures", captures
        elif char == ")":
            if not opened:
                return "`)` closes no capture; write %) for the sign", captures
            opened.pop()
            at += 1
        elif char == "%" and not following:
            return "it ends in `%`; write %% for a percent sign", captures
        elif char == "%" and following == "b":
            if len(pattern) < at + 4:
                return "`%b` needs two characters after it", captures
            at += 4
        elif char == "%" and following == "f":
            if pattern[at + 2 : at + 3] != "[":
                return "`%f` needs a set in brackets after it", captures
            at += 2
        elif char == "%" and following.isdigit():
            if not 1 <= int(following) <= captures or int(following) in opened:
                return f"`%{following}` stands for no finished capture", captures
            at += 2
        elif char == "%":
            if following.isalpha() and following.isascii() and following not in _CLASSES:
                return f"`%{following}` is no character class", captures
            at += 2
        elif char == "[":
            end, problem = _set(pattern, at)
            if problem is not None:
                return problem, captures
            at = end
        else:
            at += 1
    return ("`(` is never closed by `)`; write %( for the sign" if opened else None), captures


def _set(pattern: str, start: int) -> tuple[int, str | None]:
    """Where the set that opens at ``start`` ends, and what is wrong with it."""
    at = start + (2 if pattern.startswith("[^", start) else 1)
    first = at
    while at < len(pattern):
        char = pattern[at]
        if char == "]" and at > first:
            return at + 1, None
        if char == "%":
            letter = pattern[at + 1 : at + 2]
            if letter.isalpha() and letter.isascii() and letter not in _CLASSES:
                return at, f"`%{letter}` is no character class"
            at += 2
        elif pattern[at + 1 : at + 2] == "-" and pattern[at + 2 : at + 3] not in ("", "]", "%"):
            if pattern[at + 2] < char:
                return at, f"the range `{pattern[at : at + 3]}` is the wrong way round"
            at += 3
        else:
            at += 1
    return at, "`[` is never closed by `]`"
