"""What keeps code from compiling, whatever language its writer thought of; and its text, for other checks to search."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from itertools import islice

from luau_rft.luau.lexer import Token, tokens
from luau_rft.luau.tree import Tree, fact
from luau_rft.scorers.base import Check, Hit

MAX_HITS, MAX_HEADS = 20, 2000
MAX_MESSAGE = 200  # characters of the compiler's message, which quotes the source
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
# After these an `if` is an expression, without an `end`.
_BEFORE_EXPRESSION = frozenset({"=", "(", ",", "{", "[", "..", "+", "-", "*", "/", "==", "~=", "and", "or", "return"})
KEYWORDS = frozenset(
    {
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not",
        "or", "repeat", "return", "then", "true", "until", "while",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the text, in bytes as that of a node."""

    start: int


def spot(tree: Tree, token: Token) -> Spot | int:
    """Where a token stands; only its line in a text that was too long to be parsed."""
    before = tree.source[: token.start]
    return Spot(len(before.encode("utf-8", "replace"))) if tree.data else before.count("\n") + 1


def line_end(tree: Tree, token: Token) -> int:
    """Where the line of a token ends."""
    end = tree.source.find("\n", token.start)
    return end if end >= 0 else len(tree.source)


def few(check: Check) -> Check:
    """The first hits of a check; a text of nothing but exclamation marks need not be told so 200,000 times."""

    @wraps(check)
    def limited(tree: Tree, kind: str | None) -> Iterator[Hit]:
        return islice(check(tree, kind), MAX_HITS)

    return limited


def compile_error(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Source that the Luau compiler refuses; the message is the compiler's.

    Bad:
        local coins =
    Good:
        local coins = 0
    """
    error = tree.compile_error
    if error is not None:
        message = error.message if len(error.message) <= MAX_MESSAGE else error.message[:MAX_MESSAGE] + "..."
        yield error.line, message


def missing_end(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A block that is never closed, told where it is opened, as far as the compiler can guess that.

    Bad:
        local function greet(player)
            if player then
                print(player.Name)
        end
    Good:
        local function greet(player)
            if player then
                print(player.Name)
            end
        end
    """
    if tree.compile_error is None:
        return
    message = tree.compile_error.message
    if re.fullmatch(r"Expected identifier when parsing expression, got '[)\]}]'", message):
        opener = _open_at_bracket(tree)
        if opener is not None:
            yield spot(tree, opener), f"the block that `{opener.text}` opens here is never closed: add its `end`"
        return
    openings = re.findall(r"close '(function|then|else|do)' at line (\d+)", message)
    # Before anything else the compiler misses an `end` only because nothing can follow a `return`.
    if not openings or not re.match(r"Expected 'end' .* got (?:<eof>|'(?:else|elseif|until|[)\]},])')", message):
        return
    word, number = openings[-1]  # the last is the compiler's guess by indentation
    line = tree.source.split("\n")[int(number) - 1]
    if word == "else" and re.search(r"\belse\s+if\b", line):
        yield int(number), "`else if` opens a second `if` with an `end` of its own: write `elseif`"
    else:
        yield int(number), f"the block that `{word}` opens here is never closed: add its `end`"


def _open_at_bracket(tree: Tree) -> Token | None:
    """The opener of the block that is still open where a bracket around it is closed."""
    open_: list[Token] = []
    before = ""
    for token in broken_tokens(tree):
        text = token.text
        is_expression = text == "if" and before in _BEFORE_EXPRESSION
        if text in OPENING or (text in ("function", "if", "do", "repeat") and not is_expression):
            open_.append(token)
        elif text in CLOSING or text in ("end", "until"):
            if not open_:
                return None
            opener = open_.pop()
            if text in CLOSING and opener.text not in OPENING:
                return opener
        before = text
    return None


def extra_end(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An ``end`` with nothing left to close.

    Bad:
        if workspace:FindFirstChild("Door") then
            print("found")
        end
        end
    Good:
        if workspace:FindFirstChild("Door") then
            print("found")
        end
    """
    if tree.compile_error is not None and tree.compile_error.message == "Expected <eof>, got 'end'":
        yield tree.compile_error.line, "this `end` closes nothing: remove it, or open the block that it should close"


@few
def missing_then(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A condition without ``then``, or the head of a loop without ``do``.

    Bad:
        if script.Parent
            print("placed")
        end
    Bad:
        for i = 1, 3
            print(i)
        end
    Good:
        if script.Parent then
            print("placed")
        end
    """
    for head in broken_heads(tree):
        # A brace or a colon in its place is another language's habit and has its own rule.
        if head.closer is None and (not head.rest or head.rest[-1].text not in ("{", ":")):
            opener = head.opener.text
            word = "then" if opener in ("if", "elseif") else "do"
            yield spot(tree, head.opener), f"`{opener} ...` needs `{word}` before its block"


@few
def markdown(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A Markdown fence around the code.

    Bad:
        ```lua
        print("hello")
        ```
    Good:
        print("hello")
    """
    for number, line in broken_lines(tree):
        if line.lstrip().startswith(("```", "~~~")):
            yield number, "a Markdown fence is not Luau: give the code alone"


_SENTENCE = re.compile(
    r"""\s*(?:[-*#>\d.]+\s+)?\**[A-Z][\w']*[,!:]?\**\s+
        (?!(?:and|or|then|do|not|in|end|else)\b)\w[\w']*(?:\s+\w|\s*[:.!?]\s*$)""",
    re.VERBOSE,
)


@few
def prose(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A sentence that is no comment, such as a greeting before the code or an explanation after it.

    Bad:
        Here is the script you asked for:
        print("hello")
    Good:
        -- Greets whoever reads the output.
        print("hello")
    """
    for number, line in broken_lines(tree):
        words = re.findall(r"[A-Za-z']+", line[:500])
        ending = line.rstrip()[-1:]
        is_long = len(words) >= (3 if ending in (":", "!") else 4)
        if is_long and ending in (".", ":", "!", "?", ",") and _SENTENCE.match(line):
            yield number, "a sentence outside of a comment: start it with -- or leave it out"


@fact
def broken_tokens(tree: Tree) -> tuple[Token, ...]:
    """The tokens, comments left out, of code that does not compile; none of code that does."""
    return () if tree.compile_error is None else _tokens(tree)


@fact
def broken_lines(tree: Tree) -> tuple[tuple[int, str], ...]:
    """The numbered lines of code that does not compile, without comments, and not those that start inside a string."""
    if tree.compile_error is None:
        return ()
    pieces, done = [], 0
    for token in tokens(tree.source):
        if token.kind == "comment" or (token.kind == "string" and "\n" in token.text):
            pieces += [tree.source[done : token.start], "\n" * token.text.count("\n")]
            done = token.end
    text = "".join([*pieces, tree.source[done:]])
    return tuple(enumerate(text.split("\n"), start=1))


@dataclass(frozen=True, slots=True)
class Head:
    """An ``if``, ``elseif``, ``while`` or ``for``, what follows it, and the ``then`` or ``do`` that ends it.

    Where that is missing, ``rest`` ends with the line.
    """

    opener: Token
    rest: tuple[Token, ...]
    closer: Token | None


_AFTER_HEAD = KEYWORDS - {"and", "or", "not", "true", "false", "nil", "in", "then", "do"}


@fact
def broken_heads(tree: Tree) -> tuple[Head, ...]:
    """The heads of blocks in code that does not compile."""
    stream, found = broken_tokens(tree), []
    for i, token in enumerate(stream):
        before = stream[i - 1] if i else token
        # Loops start statements; elsewhere the words are those of a sentence.
        starts = i == 0 or before.text in KEYWORDS or "\n" in tree.source[before.end : token.start]
        if token.text in ("if", "elseif") or (token.text in ("while", "for") and starts):
            found.append(_head(tree, stream, i))
        if len(found) == MAX_HEADS:
            break
    return tuple(found)


def _head(tree: Tree, stream: tuple[Token, ...], position: int) -> Head:
    opener, depth = stream[position], 0
    closers = ("then",) if opener.text in ("if", "elseif") else ("do",)
    for i in range(position + 1, min(len(stream), position + 200)):
        text = stream[i].text
        depth += (text in OPENING) - (text in CLOSING)
        if depth == 0 and text in closers:
            return Head(opener, stream[position + 1 : i], stream[i])
        if depth < 0 or (depth == 0 and text in _AFTER_HEAD):
            break
    line_end = tree.source.find("\n", opener.start)
    rest = (token for token in stream[position + 1 : position + 200] if line_end < 0 or token.start < line_end)
    return Head(opener, tuple(rest), None)


@fact
def _tokens(tree: Tree) -> tuple[Token, ...]:
    return tuple(token for token in tokens(tree.source) if token.kind != "comment")


@fact
def _line_starts(tree: Tree) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", tree.source))]
