"""Which comments of a program say something."""

import re
from functools import lru_cache

from luau_rft.luau.compiler import compile_error
from luau_rft.luau.tree import Node, Tree

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
_NOTICE = re.compile(r"copyright|licen[sc]e|https?://|@\w+|generated", re.IGNORECASE)


class Comment:
    """A comment, or several lines of them in a row, and the code it stands beside or above."""

    def __init__(self, nodes: list[Node], lines: list[str]) -> None:
        self.node, self.line, self.last_line = nodes[0], nodes[0].line, nodes[-1].last_line
        self.text = "\n".join(re.sub(r"^--(?:\[=*\[)?|\]=*\]$", "", node.text) for node in nodes).strip()
        self.words = [word for word in _split(self.text) if word not in _STOP_WORDS]
        before = lines[self.line - 1][: self.node.column - 1]
        after = next((line for line in lines[self.last_line :] if line.strip()), "")
        self.code = before if before.strip() else after

    @property
    def is_code(self) -> bool:
        """Whether it is code that was commented out."""
        return re.search(r"[=(]", self.text) is not None and compile_error(self.text) is None

    @property
    def is_notice(self) -> bool:
        """Whether it is about the file: licence, origin, a tool's annotations."""
        return _NOTICE.search(self.text) is not None

    @property
    def is_heading(self) -> bool:
        """Whether it is a title over a part of the code, such as ``-- Services``."""
        return 1 <= len(self.words) <= 3 and self.line == self.last_line

    @property
    def restates(self) -> bool:
        """Whether the code beside it holds all of its words."""
        return len(self.words) >= 2 and set(self.words) <= set(_split(self.code))

    @property
    def says_something(self) -> bool:
        """Whether it has three words of meaning, two of which the code beside it does not hold."""
        own = set(self.words)
        return len(own) >= 3 and len(own - set(_split(self.code))) >= 2 and not self.is_code and not elides(self.node)


def comments(tree: Tree) -> list[Comment]:
    """All comments in order, neighbouring lines taken as one, directives such as ``--!strict`` left out."""
    lines = tree.source.split("\n")
    runs: list[list[Node]] = []
    for node in tree.comments:
        if node.text.startswith("--!"):
            continue
        last = runs[-1][-1] if runs else None
        alone = not lines[node.line - 1][: node.column - 1].strip()
        if alone and last is not None and last.last_line == node.line - 1 and last.column == node.column:
            runs[-1].append(node)
        else:
            runs.append([node])
    return [Comment(run, lines) for run in runs]


@lru_cache(maxsize=4)
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
        repeated = any(len(words & other) >= 0.8 * max(len(words), len(other)) for other in seen)
        (good if comment.says_something and not repeated else empty).append(comment)
        seen.append(words)
    return good, empty


def elides(node: Node) -> bool:
    """Whether a comment stands for code that was left out."""
    first_line = node.text.lstrip("-[= ").split("\n")[0].rstrip("]= !:.")
    return _ELIDED.search(first_line) is not None or re.fullmatch(r"--\s*\.\.\.\s*", node.text) is not None


def _split(text: str) -> list[str]:
    """Lower-case words, those joined in camelCase or snake_case taken apart, plurals like singulars."""
    parts = re.findall(r"[A-Z]?[a-z']+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+", text)
    return [part.lower().rstrip("s") or part.lower() for part in parts if len(part) > 1]
