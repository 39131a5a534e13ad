"""Habits of good Roblox scripts."""

from collections.abc import Iterator

from luau_rft.luau.scopes import function_of
from luau_rft.luau.substance import statement_of
from luau_rft.luau.tree import LOOPS, Tree, arguments, callee
from luau_rft.scorers.base import Hit

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.


def service_order(tree: Tree, kind: str | None) -> Iterator[Hit]:
    seen: set[str] = set()
    after_code = False
    top = {node for node in tree.root.children if node.is_statement}
    for node in tree.nodes:
        if node in top and node.type not in ("variable_declaration", "type_definition"):
            after_code = True
        if node.type == "function_call" and callee(node) == "game:GetService" and arguments(node):
            if arguments(node)[0].type != "string":
                continue
            name = arguments(node)[0].text
            if name in seen:
                yield node, f"{name} was fetched before: use the variable"
            elif function_of(node) is not None:
                yield node, f"fetch {name} once, at the top of the script"
            elif after_code and statement_of(node) in top:
                yield node, f"move {name} to the top of the script"
            seen.add(name)


def magic_wait(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for call in tree.of("function_call"):
        if callee(call) in ("wait", "task.wait") and arguments(call) and arguments(call)[0].type == "number":
            in_loop = any(above.type in LOOPS for above in call.ancestors())
            if call.is_statement and not in_loop and function_of(call) is None:
                yield call, "wait for what is needed (WaitForChild, an event), not for a number of seconds"


_PLAIN_NUMBERS = frozenset({"0", "1", "2", "3", "4", "5", "10", "60", "100", "1000", "0.5", "0.1", "180", "360", "255"})


def magic_number(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("number"):
        if node.text in _PLAIN_NUMBERS or function_of(node) is None:
            continue
        statement = statement_of(node)
        sets_property = statement is not None and statement.type == "assignment_statement"
        is_argument = any(above.type in ("arguments", "field") for above in node.ancestors() if above is not statement)
        if not is_argument and not sets_property and statement is not None and statement.type != "variable_declaration":
            yield node, f"name {node.text} in a constant at the top"
