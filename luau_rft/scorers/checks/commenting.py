"""Comments say something."""

from collections.abc import Iterator

from luau_rft.luau.comments import comments, judged
from luau_rft.luau.tree import Tree
from luau_rft.scorers.base import Hit

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.

LINES_PER_COMMENT = 40


MIN_COMMENTED_LINES = 6  # shorter code explains itself


def _code_lines(tree: Tree) -> set[int]:
    return {node.line for node in tree.nodes if not node.children and node.type not in ("chunk", "ERROR")}


def no_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if len(_code_lines(tree)) >= MIN_COMMENTED_LINES and not judged(tree)[0]:
        yield 1, "no comment says what this is for: start with a line on its purpose"


def few_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    lines, good = len(_code_lines(tree)), len(judged(tree)[0])
    if good and good < min(4, lines // LINES_PER_COMMENT):
        yield 1, f"{good} useful comments in {lines} lines of code: say what each part is for"


def empty_comment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for comment in judged(tree)[1]:
        if comment.is_code:
            yield comment.node, "code that is commented out: remove it"
        elif comment.restates or not (comment.is_heading or comment.is_notice):
            yield comment.node, "this comment repeats the code or another comment: say why, or remove it"


def too_many_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    prose = sum(len(comment.text) for comment in comments(tree) if not comment.is_notice)
    code = sum(len(line.strip()) for line in tree.source.split("\n")) - sum(len(node.text) for node in tree.comments)
    if prose > max(200, code):
        yield 1, "there is more comment than code: keep what the code cannot say"
