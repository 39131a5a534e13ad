"""Which comments of a program say something."""

import re
from bisect import bisect_right
from functools import cached_property, lru_cache
from itertools import islice

from luau_rft.luau.compiler import compile_error
from luau_rft.luau.substance import living
from luau_rft.luau.tree import STATEMENTS, Node, Tree, fact

_STOP_WORDS = frozenset(
    [
        "a", "an", "and", "are", "as", "at", "be", "by", "code", "do", "does", "end", "for", "from", "function", "get",
        "here", "if", "in", "into", "is", "it", "its", "line", "local", "main", "of", "on", "or", "our", "script",
        "set", "so", "start", "than", "that", "the", "then", "there", "these", "this", "to", "use", "variable", "we",
        "when", "which", "will", "with", "you", "your",
    ]
)  # fmt: skip
_ELIDED = re.compile(
    r"\b(?:the |your )?rest of (?:the|your)\b.{0,80}?\b(?:code|logic|implementation|script)\b"
    r"|\byour (?:\w+ )?(?:code|logic|implementation)\b|\bnot (?:yet )?implemented\b|\bgoes here\b|\bfor brevity\b"
    r"|^(?:add|put|insert|write|place|implement|handle|define|check|process)\b.*\bhere$|^implement (?:this|me)\b"
    r"|^\.\.\.|^(?:\w+ )?(?:more|other|additional|existing|remaining) (?:\w+ )?(?:code|logic|functions?)(?: here)?$",
    re.IGNORECASE,
)
# One of these is in everything that _ELIDED finds; to look for them first is much faster.
_ELISION_HINTS = ("rest", "your", "implement", "here", "brevity", "...", "code", "logic", "function")
_NOTICE = re.compile(r"copyright|licen[sc]e|https?://|@\w+|generated", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z']+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+")
_LOOK_BACK = 40  # comments; one that repeats an earlier one mostly stands near it


class Comment:
    """A comment, or several lines of them in a row; ``code`` is the line that it stands beside or above.

    ``code_line`` is the number of that line, ``is_header`` tells whether all code comes after the comment.
    """

    def __init__(self, nodes: list[Node], lines: list[str], is_header: bool) -> None:
        self.node, self.is_header = nodes[0], is_header
        (self.line, column), self.last_line = self.node.tree.position(self.node.start), nodes[-1].last_line
        self.text = "\n".join(re.sub(r"^--(?:\[=*\[)?|\]=*\]$", "", node.text) for node in nodes).strip()
        self.code, self.code_line = lines[self.line - 1][: column - 1], self.line
        if not self.code.strip():
            below = (
                (line, number) for number, line in enumerate(islice(lines, self.last_line, None), self.last_line + 1)
            )
            self.code, self.code_line = next(
                ((line, number) for line, number in below if line.strip()), ("", self.line)
            )

    @cached_property
    def words(self) -> list[str]:
        return [word for word in _split(self.text) if word not in _STOP_WORDS]

    @cached_property
    def is_code(self) -> bool:
        """Whether it is code that was commented out."""
        code = re.sub(r"^[-\s]+", "", self.text, flags=re.MULTILINE)
        return re.search(r"[=(]", code) is not None and compile_error(code) is None

    @property
    def shows_layout(self) -> bool:
        """Whether it shows how the table is filled that is declared beside it: ``local open = {} -- open[a] = b``."""
        declared = re.match(r"\s*local\s+(\w+)", self.code) if self.code_line == self.line else None
        return declared is not None and re.match(rf"{declared[1]}\s*[\[.]", self.text) is not None

    @property
    def is_notice(self) -> bool:
        """Whether it is about the file: licence, origin, a tool's annotations."""
        return _NOTICE.search(self.text) is not None

    @cached_property
    def new_words(self) -> set[str]:
        """The words that the code beside it does not hold."""
        return set(self.words) - set(_split(self.code))

    @property
    def restates(self) -> bool:
        """Whether the code beside it holds all of its words."""
        return len(self.words) >= 2 and not self.new_words

    @property
    def says_something(self) -> bool:
        """Whether it has three words of meaning, two of which the code beside it does not hold."""
        return len(set(self.words)) >= 3 and len(self.new_words) >= 2 and not self.is_code and not elides(self.node)


@fact
def comments(tree: Tree) -> tuple[Comment, ...]:
    """All comments in order, neighbouring lines taken as one, directives such as ``--!strict`` left out."""
    lines = tree.source.split("\n")
    runs: list[list[Node]] = []
    last, indent = -1, -1
    for node in tree.comments:
        if tree.data.startswith(b"--!", node.start):
            continue
        line, column = tree.position(node.start)
        alone = not lines[line - 1][: column - 1].strip()
        if alone and last == line - 1 and indent == column:
            runs[-1].append(node)
        else:
            runs.append([node])
        last, indent = node.last_line, column
    first = tree.root.children[0].start if tree.root.children else len(tree.data)
    return tuple(Comment(run, lines, run[0].start < first) for run in runs)


@fact
def judged(tree: Tree) -> tuple[list[Comment], list[Comment]]:
    """The comments that say something, each once, and the others.

    >>> from luau_rft.luau.tree import parse
    >>> good, empty = judged(parse("-- Doors stay shut at night\\nf() -- call f"))
    >>> [comment.text for comment in good], [comment.text for comment in empty]
    (['Doors stay shut at night'], ['call f'])
    """
    good: list[Comment] = []
    empty: list[Comment] = []
    seen: list[set[str]] = []
    for comment in comments(tree):
        words = set(comment.words)
        (good if comment.says_something and not _repeats(words, seen) else empty).append(comment)
        seen.append(words)
    return good, empty


def _repeats(words: set[str], seen: list[set[str]]) -> bool:
    """Whether an earlier comment has four of five words, counted in the longer of the two."""
    for other in seen[-_LOOK_BACK:]:
        least = 0.8 * max(len(words), len(other))
        if min(len(words), len(other)) >= least and len(words & other) >= least:
            return True
    return False


@fact
def useful(tree: Tree) -> list[Comment]:
    """The comments that say something about this program, and stand over it or at code that does something.

    >>> from luau_rft.luau.tree import parse
    >>> text = "-- Doors stay shut at night\\nlocal unused = 1\\n-- Opens every door once\\nopenDoor(workspace)"
    >>> [comment.text for comment in useful(parse("local a = 1\\n" + text))]
    ['Opens every door once']
    """
    good = judged(tree)[0]
    if not good:
        return []
    known = _vocabulary(tree)
    return [
        comment
        for comment in good
        if not known.isdisjoint(comment.words) and (comment.is_header or not _is_idle(tree, comment.code_line))
    ]


def _is_idle(tree: Tree, line: int) -> bool:
    """Whether the innermost statement of a line does nothing."""
    lines, statements = _statements(tree)
    place = bisect_right(lines, line)
    for node in reversed(statements[max(0, place - _LOOK_BACK) : place]):
        if node.last_line >= line:
            return node not in living(tree)
    return False


@fact
def _statements(tree: Tree) -> tuple[list[int], list[Node]]:
    """The statements in order of the text, and the line that each starts on."""
    nodes = [node for node in tree.of(*STATEMENTS) if node.is_statement and node.type != "type_definition"]
    return [node.line for node in nodes], nodes


def _vocabulary(tree: Tree) -> set[str]:
    """The words of the names and texts of the program."""
    pieces, done = [], 0
    for node in tree.comments:
        pieces.append(tree.data[done : node.start])
        done = max(done, node.end)
    code = b" ".join([*pieces, tree.data[done:]]).decode("utf-8", "replace")
    return {word for name in set(re.findall(r"\w{3,}", code)) for word in _split(name)} - _STOP_WORDS


def elides(node: Node) -> bool:
    """Whether a comment stands for code that was left out."""
    first_line = node.text.lstrip("-[= ").split("\n", 1)[0].rstrip("]= !:.")
    lower = first_line.lower()
    if not any(hint in lower for hint in _ELISION_HINTS):
        return not first_line and node.text.rstrip().endswith("...") and "\n" not in node.text
    return _ELIDED.search(first_line) is not None


@lru_cache(maxsize=10_000)  # the same names come again and again
def _split(text: str) -> tuple[str, ...]:
    """Lower-case words, those joined in camelCase or snake_case taken apart, plurals like singulars."""
    return tuple([part.lower().rstrip("s") or part.lower() for part in _WORD.findall(text) if len(part) > 1])
