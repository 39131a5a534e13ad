"""Code that never runs, and conditions that are not what they seem."""

from collections.abc import Iterator

from luau_rft.luau import flow
from luau_rft.luau.tree import Tree
from luau_rft.scorers.base import Hit


def unreachable_code(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, why in flow.unreachable(tree):
        yield node, f"this never runs: {why}"
