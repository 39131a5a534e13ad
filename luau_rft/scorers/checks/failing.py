"""Calls that can fail, and what is done about it."""

from collections.abc import Iterator
from functools import cache, lru_cache

from luau_rft.luau import flow
from luau_rft.luau.scopes import resolve, targets_and_values
from luau_rft.luau.substance import statement_of
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, last_name, method, root_name, strip
from luau_rft.roblox.api import database
from luau_rft.scorers.base import Hit

_PROTECTED_CALLS = frozenset({"pcall", "xpcall", "ypcall", "Promise.try", "Promise.new", "Promise.defer"})


_RARELY_FAILING = frozenset({"LoadCharacter", "LoadCharacterAsync", "loadCharacter", "WaitForDataReady"})


def unprotected_call(tree: Tree, kind: str | None) -> Iterator[Hit]:
    protected = _protected_functions(tree)
    for call in tree.of("function_call"):
        if _can_fail(call) and not any(above in protected for above in call.ancestors()):
            yield call, f"{method(call)} fails when the service is down: call it inside pcall and handle the failure"


def ignored_pcall(tree: Tree, kind: str | None) -> Iterator[Hit]:
    scopes = resolve(tree)
    for call in tree.of("function_call"):
        if callee(call) != "pcall" or not any(_can_fail(node) or _is_failing_method(node) for node in call.walk()):
            continue
        statement = statement_of(call)
        if statement is call:
            yield call, "the result of this pcall is dropped: read `success` and handle the failure"
        elif statement is not None and statement.type == "variable_declaration":
            names, values = targets_and_values(statement)
            success = scopes.of.get(names[0]) if values and strip(values[0]) is call else None
            if success is not None and not success.reads:
                yield names[0], f"`{success.name}` is never read: a failure goes unnoticed"


def empty_pcall(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for call in tree.of("function_call"):
        if callee(call) in ("pcall", "xpcall") and arguments(call):
            body = strip(arguments(call)[0])
            if body.type == "function_definition" and not any(node.is_statement for node in body.walk()):
                yield call, "this pcall holds no code"


@cache
def _failing_methods() -> frozenset[str]:
    """The methods that ask a distant service, by name: what an expression is an instance of is not known."""
    members = (entry["members"].items() for entry in database().classes.values())
    return frozenset(name for items in members for name, entry in items if entry.get("fails")) - _RARELY_FAILING


def _can_fail(call: Node) -> bool:
    if call.type != "function_call" or method(call) not in _failing_methods():
        return False
    root = root_name(call)
    variable = resolve(call.tree).of.get(root) if root is not None else None
    value = strip(variable.value) if variable is not None and variable.value is not None else None
    # A module or a table of the script's own may use these names as it likes.
    own = value is not None and (value.type == "table_constructor" or callee(value) in ("require", "setmetatable"))
    return not own


def _is_failing_method(node: Node) -> bool:
    """Whether a node names a failing method without calling it, as in ``pcall(store.GetAsync, store, key)``."""
    field = node.get("field") if node.type == "dot_index_expression" else None
    return field is not None and field.text in _failing_methods()


@lru_cache(maxsize=4)
def _protected_functions(tree: Tree) -> frozenset[Node]:
    """The functions that run inside a pcall: given to it, or called by one that is."""
    scopes = resolve(tree)
    by_name: dict[str, list[Node]] = {}
    for function in tree.of("function_declaration"):
        if (name := function.get("name")) is not None:
            by_name.setdefault(last_name(name), []).append(function)
    for variable in scopes.variables:
        if variable.value is not None and variable.value.type == "function_definition":
            by_name.setdefault(variable.name, []).append(variable.value)

    protected: set[Node] = set()
    pending: list[Node] = []
    for call in tree.of("function_call"):
        if callee(call) in _PROTECTED_CALLS:
            pending += arguments(call)[:1]
    while pending:
        node = strip(pending.pop())
        functions = [node] if node.type in FUNCTIONS else by_name.get(last_name(node), [])
        for function in functions:
            if function not in protected:
                protected.add(function)
                pending += [call.get("name") for call in flow.own_nodes(function) if call.type == "function_call"]
    return frozenset(protected)
