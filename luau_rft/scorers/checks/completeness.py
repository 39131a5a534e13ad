"""Nothing is left undone."""

import re
from collections.abc import Iterator

from luau_rft.luau.comments import elides
from luau_rft.luau.scopes import targets_and_values
from luau_rft.luau.substance import statement_of
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, callee
from luau_rft.scorers.base import Hit

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.

_TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK|TBD|WIP)\b")


def todo(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.comments:
        if found := _TODO.search(node.text):
            yield node, f"{found[1]}: finish it"


def elided_code(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.comments:
        if elides(node) and not _TODO.search(node.text):
            yield node, "code is left out here: write it"


_PLACEHOLDER = re.compile(
    r"not (?:yet )?implemented|placeholder|lorem ipsum|your[_ ](?:code|key|id|value)", re.IGNORECASE
)


def placeholder(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("string"):
        is_text_box = node.parent is not None and "Placeholder" in node.parent.text
        if _PLACEHOLDER.search(node.text) and not is_text_box:
            yield node, f"{node.text[:40]} stands for something that is missing"


def empty_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for function in tree.of(*FUNCTIONS):
        body = function.get("body")
        name = function.get("name") or _assigned_name(function)
        if (body is None or not body.children) and not (name is not None and re.search(r"(?i)noop|empty", name.text)):
            yield function, "this function has no body"


def empty_block(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("if_statement", "elseif_statement", "else_statement", "for_statement", "do_statement"):
        fields = ("consequence",) if node.type in ("if_statement", "elseif_statement") else ("body",)
        has_body = any(part is not None and part.children for part in map(node.get, fields))
        if not has_body and not (node.type == "do_statement" and node.children):
            yield node, "nothing happens in here"


def debug_print(tree: Tree, kind: str | None) -> Iterator[Hit]:
    calls = [node for node in tree.of("function_call") if node.is_statement]
    prints = [call for call in calls if callee(call) == "print"]
    if len(prints) > 3 and 3 * len(prints) > len(calls):
        yield prints[0], f"{len(prints)} prints: keep warn for what goes wrong"


def _assigned_name(function: Node) -> Node | None:
    """The name that a function expression is given in its declaration, assignment or table field."""
    if function.parent is not None and function.parent.type == "field":
        return function.parent.get("name")
    statement = statement_of(function)
    if statement is None or statement.type not in ("variable_declaration", "assignment_statement"):
        return None
    targets, values = targets_and_values(statement)
    return targets[values.index(function)] if function in values[: len(targets)] else None
