"""Loops that never yield."""

from collections.abc import Iterator
from functools import cache

from luau_rft.luau import flow
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, callee, last_name, method, root_name
from luau_rft.roblox.api import database
from luau_rft.scorers.base import Hit

_YIELDING = frozenset({"wait", "task.wait", "coroutine.yield", "Wait"})


def endless_loop(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop that goes on for ever and never yields, or that waits for something without yielding.

    Bad:
        while true do
            workspace.Name = "a"
        end
    Good:
        while true do
            workspace.Name = "a"
            task.wait(1)
        end
    """
    for loop in tree.of("while_statement", "repeat_statement"):
        if any(flow.leaves(loop)) or _may_yield(loop, set()):
            continue
        if flow.runs_forever(loop) or _only_waits(loop):
            yield loop, "this loop never yields: add task.wait() or connect to an event instead"


def _may_yield(part: Node, seen: set[Node]) -> bool:
    """Whether running ``part`` can give way to other threads; unknown functions of other modules are assumed to."""
    scopes = resolve(part.tree)
    pending = [part]
    while pending:
        for node in flow.own_nodes(pending.pop()):
            if node.type != "function_call":
                continue
            called = method(node)
            if callee(node) in _YIELDING or called in _YIELDING or called in _yielding_methods():
                return True
            name = node.get("name")
            variable = scopes.of.get(root_name(node)) if name is not None else None
            if variable is None or (called is not None and variable.name != "self"):
                continue
            body = variable.value if name.type == "identifier" else _method_of(part.tree, last_name(name))
            if body is not None and body.type in FUNCTIONS:
                if body not in seen:
                    seen.add(body)
                    pending.append(body)
            elif name.type == "identifier" or body is None:
                return True
    return False


@cache
def _yielding_methods() -> frozenset[str]:
    members = (entry["members"].items() for entry in database().classes.values())
    return frozenset(name for items in members for name, entry in items if entry.get("yields"))


def _method_of(tree: Tree, name: str) -> Node | None:
    declarations = (node for node in tree.of("function_declaration") if last_name(node.get("name")) == name)
    return next(declarations, None)


def _only_waits(loop: Node) -> bool:
    """Whether a loop without a body looks at something that cannot change while it looks."""
    condition, body = loop.get("condition"), loop.get("body")
    if condition is None or flow.constant(condition) is not None or (body is not None and body.children):
        return False
    calls = (node for node in condition.walk() if node.type == "function_call")
    return all((method(call) or "").startswith(("Find", "Get", "Is")) for call in calls)
