"""Finds values that may be nil and are indexed before anything made sure that they are not."""

from collections.abc import Callable, Iterator
from functools import cache

from luau_rft.luau.flow import branches, ending, leaves
from luau_rft.luau.scopes import Scopes, Variable, function_of, resolve, targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, callee, method, root_name, strip
from luau_rft.roblox.api import database
from luau_rft.scorers.base import Hit

_PROPERTIES = frozenset({"Character", "PrimaryPart", "SeatPart", "Occupant", "RootPart"})
_LOOK_BACK = 60  # statements of a block that are searched for a check; keeps long blocks from taking quadratic time
_MAX_OPERATORS = 40  # nested `and`, `or` and `not` that a condition is followed through

Matcher = Callable[[Node], bool]


def nil_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, text in _unchecked(tree):
        yield node, f"`{text}` may be nil here: check it before indexing it"


def _unchecked(tree: Tree) -> Iterator[tuple[Node, str]]:
    """The first index of each value that may be nil there, and the value's text; once a function and value."""
    scopes = resolve(tree)
    seen: set[tuple[Node | None, object]] = set()
    for index in tree.of("dot_index_expression", "method_index_expression", "bracket_index_expression"):
        table = index.get("table")
        if table is None or index.parent.type == "function_declaration":
            continue
        value = strip(table)
        variable = scopes.of.get(value)
        key = (function_of(index), variable or _squeezed(value))
        if key not in seen and (
            _variable_may_be_nil(index, variable, scopes) if variable else _may_be_nil(index, value)
        ):
            seen.add(key)
            yield value, value.text if len(value.text) <= 40 else f"{value.text[:37]}..."


def gives_nil(expression: Node) -> bool:
    """Whether an expression is known to be nil at times: ``FindFirstChild``, ``player.Character`` and their like."""
    pending = [expression]
    while pending:
        node = strip(pending.pop())
        if node.type == "binary_expression" and node.operator in ("and", "or"):
            sides = [node.get("right"), node.get("left") if node.operator == "and" else None]
            pending += [side for side in sides if side is not None]
        elif node.type == "function_call":
            called = method(node)
            if called in _methods() or (called == "WaitForChild" and len(arguments(node)) > 1):
                return True
        elif node.type == "dot_index_expression":
            name, root = node.get("field"), root_name(node)
            if name is not None and name.text in _PROPERTIES and not (root is not None and root.text == "self"):
                return True
    return False


@cache
def _methods() -> frozenset[str]:
    classes = (database().classes[name]["members"] for name in ("Instance", "Players", "WorldRoot"))
    found = {name for members in classes for name, entry in members.items() if entry.get("returns", "").endswith("?")}
    return frozenset(found | {"GetAttribute"})


def _may_be_nil(index: Node, value: Node) -> bool:
    """Whether the indexed expression itself may be nil, nothing before having looked at the same expression."""
    if not gives_nil(value):
        return False
    text = _squeezed(value)
    return _before(index, lambda node: node.type == value.type and _squeezed(node) == text, None) is not False


def _variable_may_be_nil(index: Node, variable: Variable, scopes: Scopes) -> bool:
    values = [variable.value, *(_assigned(write) for write in variable.writes)]
    if not any(value is not None and gives_nil(value) for value in values):
        return False
    return _before(index, lambda node: scopes.of.get(node) is variable, variable) is True


def _assigned(target: Node) -> Node | None:
    """The value that an assignment gives to ``target``."""
    statement = target.parent.parent if target.parent else None
    if statement is None or statement.type != "assignment_statement":
        return None
    targets, values = targets_and_values(statement)
    return values[targets.index(target)] if target in targets[: len(values)] else None


def _before(use: Node, matches: Matcher, variable: Variable | None) -> bool | None:
    """Whether the value may be nil at ``use``, by what surrounds and precedes it; None where nothing tells."""
    node = use
    for parent in use.ancestors():
        if _known_inside(parent, node, matches):
            return False
        if parent.type in ("block", "chunk", "ERROR"):
            position = parent.children.index(node) if node in parent.children else 0
            for statement in reversed(parent.children[max(0, position - _LOOK_BACK) : position]):
                verdict = _after(statement, matches, variable)
                if verdict is not None:
                    return verdict
        node = parent
    return None


def _known_inside(parent: Node, node: Node, matches: Matcher) -> bool:
    """Whether ``node``, a child of ``parent``, runs only when the value is there."""
    match parent.type, node.field:
        case "binary_expression", "right":
            left = parent.get("left")
            return parent.operator in ("and", "or") and _implies(left, matches, parent.operator == "and")
        case "if_statement" | "elseif_statement" | "if_expression" | "elseif_clause", "consequence":
            return _implies(parent.get("condition"), matches, True)
        case "while_statement", "body":
            return _implies(parent.get("condition"), matches, True)
        case "if_statement", "alternative":
            earlier = [condition for condition, _ in branches(parent)][: parent.all("alternative").index(node) + 1]
            return any(_implies(condition, matches, False) for condition in earlier)
        case "if_expression", None:
            return _implies(parent.get("condition"), matches, False)
    return False


def _after(statement: Node, matches: Matcher, variable: Variable | None) -> bool | None:
    """What a statement that ran before says of the value: True may be nil, False is there, None nothing."""
    match statement.type:
        case "variable_declaration" | "assignment_statement":
            targets, values = targets_and_values(statement)
            for i, target in enumerate(targets):
                if matches(target) or (variable is not None and target is variable.node):
                    return gives_nil(values[i]) if i < len(values) else None
        case "function_call":
            if callee(statement) == "assert" and arguments(statement):
                return False if _implies(arguments(statement)[0], matches, True) else None
        case "if_statement":
            parts = branches(statement)
            ends = ending(statement.tree)
            settled = [body is not None and (body in ends or _sets(body, matches)) for _, body in parts]
            if any(
                body is not None and body.children and _after(body.children[-1], matches, None) for _, body in parts
            ):
                return True
            if all(settled) and any(_implies(condition, matches, False) for condition, _ in parts if condition):
                return False
        case "while_statement":
            if not any(leaves(statement)) and _implies(statement.get("condition"), matches, False):
                return False
        case "repeat_statement":
            if _implies(statement.get("condition"), matches, True):
                return False
    if variable is not None and any(_inside(write, statement) for write in variable.writes):
        return False  # it is set somewhere in there; following every path would promise more than this can keep
    return None


def _sets(body: Node, matches: Matcher) -> bool:
    """Whether a branch gives the value something that is not nil."""
    for statement in body.children:
        if statement.type == "assignment_statement":
            targets, values = targets_and_values(statement)
            if any(matches(target) and not gives_nil(value) for target, value in zip(targets, values, strict=False)):
                return True
    return False


def _implies(condition: Node | None, matches: Matcher, truth: bool, depth: int = 0) -> bool:
    """Whether the value is there if ``condition`` turns out as ``truth``."""
    if condition is None or depth > _MAX_OPERATORS:
        return False
    node = strip(condition)
    if node.type == "unary_expression" and node.operator == "not":
        return _implies(node.get("operand"), matches, not truth, depth + 1)
    if node.type == "binary_expression":
        sides = (node.get("left"), node.get("right"))
        if node.operator in ("and", "or"):
            both_hold = (node.operator == "and") is truth
            combine = any if both_hold else all
            return combine(_implies(side, matches, truth, depth + 1) for side in sides)
        if node.operator in ("==", "~="):
            values = [strip(side) for side in sides if side is not None]
            with_nil = any(value.type == "nil" for value in values)
            mentioned = any(matches(below) for value in values for below in value.walk())
            return mentioned and truth is ((node.operator == "~=") if with_nil else (node.operator == "=="))
        return truth and any(matches(strip(side)) for side in sides if side is not None)
    if matches(node):
        return truth
    # A function that is given the value, such as isAlive(humanoid), is trusted to have looked at it.
    return truth and node.type == "function_call" and any(matches(strip(argument)) for argument in arguments(node))


def _inside(node: Node, container: Node) -> bool:
    return container.start <= node.start and node.end <= container.end


def _squeezed(node: Node) -> str:
    return "".join(node.text.split())
