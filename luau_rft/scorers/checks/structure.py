"""Functions, blocks and lines of sensible size, each thing once."""

from collections.abc import Iterator

from luau_rft.luau.tree import FUNCTIONS, Node, Tree
from luau_rft.scorers.base import Hit

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.

MAX_FUNCTION_LINES = 60


MAX_NESTING = 5


MAX_LINE = 120


MIN_REPEATED, MAX_REPEATED = 12, 60  # characters, blanks left out


def repetition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    counts: dict[tuple[Node | None, str], int] = {}
    for node in tree.nodes:
        if node.is_statement:
            text = "".join(node.text.split())
            place = node.parent if len(text) < MAX_REPEATED else None  # short ones count in the same block only
            counts[place, text] = counts.get((place, text), 0) + 1
            if counts[place, text] > 2 and len(text) >= MIN_REPEATED:
                yield node, "this statement was there twice before: use a loop or a function"


def long_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for function in tree.of(*FUNCTIONS):
        lines = function.last_line - function.line + 1
        inner = sum(
            node.last_line - node.line for node in function.walk() if node.type in FUNCTIONS and node != function
        )
        if lines - inner > MAX_FUNCTION_LINES:
            yield function, f"this function has {lines} lines: split it"


def deep_nesting(tree: Tree, kind: str | None) -> Iterator[Hit]:
    depths: dict[Node, int] = {}
    for node in tree.nodes:  # parents come first
        above = depths.get(node.parent, 0) if node.parent else 0
        depths[node] = above + (node.type == "block")
        if node.type == "block" and depths[node] == MAX_NESTING + 1:
            yield node, f"nested {depths[node]} levels deep: return early, or make a function of it"


def indentation(tree: Tree, kind: str | None) -> Iterator[Hit]:
    lines = tree.source.split("\n")

    def indent(node: Node) -> str | None:
        """The blanks before a node that starts its line."""
        before = lines[node.line - 1][: node.column - 1]
        return before if not before.strip() else None

    for block in tree.of("block"):
        around = next((above for above in block.ancestors() if above.is_statement), None)
        first = block.children[0] if block.children else None
        if around is None or first is None or first.line == around.line:
            continue
        outer = lines[around.line - 1]
        outer = outer[: len(outer) - len(outer.lstrip())]
        own = indent(first)
        if own is not None and len(own) <= len(outer):
            yield first, "indent what stands inside a block"
        for node in block.children[1:]:
            if own is not None and indent(node) not in (None, own):
                yield node, "indent the statements of a block alike"


def crammed_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for block in tree.of("block", "chunk"):
        for before, after in zip(block.children, block.children[1:], strict=False):
            if before.last_line == after.line and after.is_statement:
                yield after, "start a new line for this statement"


def long_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for number, line in enumerate(tree.source.split("\n"), start=1):
        if len(line.expandtabs(4)) > MAX_LINE and "://" not in line:
            yield number, f"this line has {len(line)} characters: break it"
