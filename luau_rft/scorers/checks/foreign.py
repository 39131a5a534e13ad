"""Habits from other languages, and text that is no code: looked for in what does not compile."""

import re
from collections.abc import Iterator

from luau_rft.luau.lexer import Token, tokens
from luau_rft.luau.tree import Tree
from luau_rft.scorers.base import Hit

BROKEN = 0.5  # what not compiling costs; the other half is lost in proportion to what is not inside good statements


def compile_error(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.compile_error is not None:
        yield tree.compile_error.line, tree.compile_error.message


def markdown(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for number, line in _broken_lines(tree):
        if line.lstrip().startswith("```"):
            yield number, "a Markdown fence is not Luau: give the code alone"


def prose(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for number, line in _broken_lines(tree):
        words = re.findall(r"[A-Za-z']+", line)
        is_sentence = re.match(r"\s*(?:[-*#\d.]+\s+)?[A-Z][a-z']*[,!]? \w[a-z']* \w+", line)
        if is_sentence and len(words) >= 4 and line.rstrip()[-1:] in ".:!?," and "--" not in line:
            yield number, "a sentence outside of a comment: start it with -- or leave it out"


_OPERATORS = {
    "!=": "not equal is written ~=",
    "&&": "write `and` instead of &&",
    "||": "write `or` instead of ||",
    "!": "write `not` instead of !",
    "++": "there is no ++: write += 1",
    "?": "there is no ?: operator: write `if a then b else c`",
}


# Each is looked for as a word followed by what makes it foreign, so that it may still be a name in Luau.
_KEYWORDS = {
    "def": (r"def\s+\w+\s*\(", "a function is written `local function name() ... end`, not def"),
    "import": (r"import\s+[\w\"'{*]", "modules come through `require(...)`, services through game:GetService(...)"),
    "elif": (r"elif\b", "write `elseif`"),
    "else": (r"else\s+if\b.*(?:\)|:|\{)\s*$", "write `elseif ... then`"),
    "None": (r"None\b", "write `nil` instead of None"),
    "null": (r"null\b", "write `nil` instead of null"),
    "var": (r"var\s+\w", "write `local` instead of var"),
    "let": (r"let\s+\w", "write `local` instead of let"),
    "const": (r"const\s+\w", "write `local` instead of const"),
    "class": (r"class\s+\w+\s*[:({]", "a class is a table with methods and `__index`"),
    "try": (r"try\s*[:{]", "write `pcall(function() ... end)` instead of try"),
    "except": (r"except\b.*:", "write `if not success then` after pcall instead of except"),
    "switch": (r"switch\s*\(", "write `if ... elseif ... end` instead of switch"),
    "new": (r"new\s+\w+\s*\(", "objects come from `Class.new(...)`"),
    "void": (r"void\s+\w+\s*\(", "a function is written `local function name() ... end`"),
    "lambda": (r"lambda\b.*:", "a function value is written `function(x) return ... end`"),
    "async": (r"async\s+(?:def|function)\b", "any function can yield; use task.spawn to run beside others"),
}


def foreign_comment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for number, line in _broken_lines(tree):
        start = line.lstrip()
        if start.startswith(("//", "/*")):
            yield number, "a comment starts with --, not //"
        elif re.match(r"#(?!!|[\w({])|#\s*\w+\s+\w+", start):
            yield number, "a comment starts with --, not #"


def foreign_operator(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for token in _broken_tokens(tree):
        if token.kind == "symbol" and token.text in _OPERATORS:
            yield _line(tree, token), _OPERATORS[token.text]


def foreign_keyword(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for token in _broken_tokens(tree):
        if token.kind == "name" and token.text in _KEYWORDS:
            pattern, message = _KEYWORDS[token.text]
            if re.match(pattern, tree.source[token.start : token.start + 200].split("\n")[0]):
                yield _line(tree, token), message


def braces(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for number, line in _broken_lines(tree):
        if re.search(r"\)\s*(?:=>\s*)?\{\s*$|\belse\s*\{\s*$", line):
            yield number, "a block is closed by `end`, braces make tables"


def _broken_lines(tree: Tree) -> list[tuple[int, str]]:
    """The numbered lines of code that does not compile; none of code that does."""
    return [] if tree.compile_error is None else list(enumerate(tree.source.split("\n"), start=1))


def _broken_tokens(tree: Tree) -> Iterator[Token]:
    return iter(()) if tree.compile_error is None else tokens(tree.source)


def _line(tree: Tree, token: Token) -> int:
    return tree.source.count("\n", 0, token.start) + 1
