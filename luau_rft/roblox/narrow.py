"""Where a test such as ``hit:IsA("BasePart")`` tells what a local is."""

from luau_rft.luau import flow
from luau_rft.luau.scopes import Variable, resolve
from luau_rft.luau.tree import Node, Tree, arguments
from luau_rft.roblox.api import database

# What `type` and `typeof` name besides the API's own types.
_LUA_TYPES = frozenset({"string", "number", "boolean"})
_BODIES = {"if_statement": "consequence", "elseif_statement": "consequence", "while_statement": "body"}
_VALUES = {"if_expression": "consequence", "elseif_clause": "consequence"}


def narrowings(tree: Tree) -> dict[Variable, list[tuple[int, int, str]]]:
    """For locals that are never set again: from where to where (in bytes) they have which type."""
    found: dict[Variable, list[tuple[int, int, str]]] = {}
    variables = resolve(tree).of
    for test, tested, name in _tests(tree):
        variable = variables.get(tested)
        if variable is None or variable.writes:
            continue
        for start, end in _spans(test):
            found.setdefault(variable, []).append((start, end, name))
    for spans in found.values():
        spans.sort()
    return found


def _tests(tree: Tree) -> list[tuple[Node, Node, str]]:
    """Each test, the name that is tested and the type that it has where the test is true."""
    api, found = database(), []
    for call in tree.method_calls("IsA"):
        given, callee = arguments(call), call.get("name")
        owner, name = callee.get("table") if callee else None, _word(given[0]) if given else ""
        if owner is not None and owner.type == "identifier" and name in api.classes:
            found.append((call, owner, name))
    for call in tree.calls("typeof", "type"):
        given, test = arguments(call), call.parent
        if not given or given[0].type != "identifier" or test is None or test.operator != "==":
            continue
        other = test.get("right")
        name = _word(other) if other is not None else ""
        if name in api.datatypes or name in _LUA_TYPES or name == "Instance":
            found.append((test, given[0], name))
    return found


def _word(node: Node) -> str:
    return node.text[1:-1] if node.type == "string" else ""


def _spans(test: Node) -> list[tuple[int, int]]:
    """Where the test is known to be true."""
    spans, holds, node = [], True, test
    while (parent := node.parent) is not None:
        if parent.type == "unary_expression" and parent.operator == "not":
            holds = not holds
        elif parent.type == "binary_expression" and parent.operator == ("and" if holds else "or"):
            right = parent.get("right")
            if right is not None and node.field == "left":
                spans.append((right.start, right.end))
        elif parent.type != "parenthesized_expression":
            break
        node = parent
    if parent is None or node.field != "condition":
        return spans
    if holds and (body := parent.get(_BODIES.get(parent.type) or _VALUES.get(parent.type, ""))) is not None:
        spans.append((body.start, body.end))
    elif not holds and parent.type == "if_statement" and parent.get("alternative") is None:
        body, block = parent.get("consequence"), parent.parent
        if body is not None and block is not None and body in flow.ending(test.tree):
            spans.append((parent.end, block.end))
    return spans
