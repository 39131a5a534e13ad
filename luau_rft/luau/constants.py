"""Expressions whose value is the same in every run, and the code that such conditions leave out."""

from collections.abc import Callable

from luau_rft.luau.flow import branches, ending
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import Node, Tree, fact, strip

LITERALS = frozenset({"nil", "true", "false", "number", "string"})
_MAX_HOPS = 8  # of a constant that is another one, or of an operation on operations
_CONSTANT_PARTS = LITERALS | {
    "table_constructor", "field", "unary_expression", "binary_expression", "parenthesized_expression",
    "cast_expression",
}  # fmt: skip
_ALWAYS_THERE = frozenset({"game", "workspace", "script"})
_COMPARED: dict[str | None, Callable[[object, object], bool]] = {
    "==": lambda a, b: type(a) is type(b) and a == b,
    "~=": lambda a, b: type(a) is not type(b) or a != b,
    "<": lambda a, b: type(a) is type(b) is float and a < b,
    ">": lambda a, b: type(a) is type(b) is float and a > b,
    "<=": lambda a, b: type(a) is type(b) is float and a <= b,
    ">=": lambda a, b: type(a) is type(b) is float and a >= b,
}
_UNKNOWN = object()


def is_constant(expression: Node) -> bool:
    """Whether an expression is made of literals and of locals that only ever hold literals.

    >>> from luau_rft.luau.tree import parse
    >>> tree = parse("local A = 2 local b = { A, -1 } local c = { A, d }")
    >>> [is_constant(variable.value) for variable in resolve(tree).variables]
    [True, True, False]
    """
    of = resolve(expression.tree).of
    pending = [(expression, 0)]
    while pending:
        top, hops = pending.pop()
        for node in top.walk():
            if node.type in _CONSTANT_PARTS or (node.field == "name" and node.parent.type == "field"):
                continue
            variable = of.get(node)
            if variable is None or variable.kind != "local" or variable.value is None or variable.writes:
                return False
            if hops == _MAX_HOPS or strip(variable.value).type == "table_constructor":
                return False
            pending.append((variable.value, hops + 1))
    return True


def truth(expression: Node | None) -> bool | None:
    """Whether a condition holds in every run (True) or in none (False), None if that depends.

    >>> from luau_rft.luau.tree import parse
    >>> tree = parse("local on = false if on then f() elseif 1 == 1 then g() elseif h then end")
    >>> [truth(condition) for condition, _ in branches(tree.root.children[1])]
    [False, True, None]
    """
    value = _value(expression, 0) if expression is not None else _UNKNOWN
    return None if value is _UNKNOWN else value is not None and value is not False


def _value(expression: Node, hops: int) -> object:
    expression = strip(expression)
    kind = expression.type
    if hops > _MAX_HOPS:
        return _UNKNOWN
    if kind in ("true", "false", "nil"):
        return {"true": True, "false": False, "nil": None}[kind]
    if kind == "number":
        try:
            return float(expression.text.replace("_", ""))
        except ValueError:
            return _UNKNOWN
    if kind == "string":
        return expression.text[1:-1] if expression.text[0] in "\"'" else _UNKNOWN
    if kind == "identifier":
        variable = resolve(expression.tree).of.get(expression)
        if variable is None:
            return expression if expression.text in _ALWAYS_THERE else _UNKNOWN
        is_fixed = variable.kind == "local" and variable.value is not None and not variable.writes
        return _value(variable.value, hops + 1) if is_fixed else _UNKNOWN
    if kind == "unary_expression" and expression.operator == "not":
        value = _value(expression.children[0], hops + 1) if expression.children else _UNKNOWN
        return value if value is _UNKNOWN else value is None or value is False
    if kind == "binary_expression" and len(expression.children) == 2:
        left, right = (_value(side, hops + 1) for side in expression.children)
        return _of_two(expression.operator, left, right)
    return _UNKNOWN


def _of_two(operator: str | None, left: object, right: object) -> object:
    if operator in ("and", "or") and left is not _UNKNOWN:
        holds = left is not None and left is not False
        return right if holds == (operator == "and") else left
    if operator == "and" and (right is False or right is None):
        return right  # whatever stands on the left, it does not hold
    compare = _COMPARED.get(operator)
    if compare is None or left is _UNKNOWN or right is _UNKNOWN:
        return _UNKNOWN
    return compare(left, right)


@fact
def never_run(tree: Tree) -> frozenset[Node]:
    """The statements that cannot run, and all nodes below them."""
    ends = ending(tree)
    heads: list[Node] = []
    for block in tree.of("block", "chunk") if ends else ():
        last = next((i for i, child in enumerate(block.children) if child in ends), len(block.children))
        heads += block.children[last + 1 :]
    for statement in tree.of("if_statement"):
        done = False
        for condition, body in branches(statement):
            holds = True if condition is None else truth(condition)
            if body is not None and (done or holds is False):
                heads.append(body)
            done = done or holds is True
    heads += [loop for loop in tree.of("while_statement") if truth(loop.get("condition")) is False]
    heads += [loop for loop in tree.of("for_statement") if _is_empty_range(loop)]
    return frozenset(node for head in heads for node in head.walk())


def runs_once(loop: Node) -> bool:
    """``for i = 1, 1 do``."""
    bounds = _bounds(loop)
    return bounds is not None and bounds[0] == bounds[1]


def _bounds(loop: Node) -> tuple[float, float] | None:
    clause = loop.get("clause")
    if clause is None or clause.type != "for_numeric_clause" or clause.get("step") is not None:
        return None
    values = [_value(bound, 0) for bound in (clause.get("start"), clause.get("end")) if bound is not None]
    are_known = len(values) == 2 and all(type(value) is float for value in values)
    return (values[0], values[1]) if are_known else None


def _is_empty_range(loop: Node) -> bool:
    """``for i = 1, 0 do`` and ``for _ in {} do``."""
    clause, bounds = loop.get("clause"), _bounds(loop)
    if bounds is not None:
        return bounds[0] > bounds[1]
    values = _iterated(clause) if clause is not None else []
    return any(value.type == "table_constructor" and not value.children for value in values)


def _iterated(clause: Node) -> list[Node]:
    """What a generic ``for`` goes over, ``pairs`` and its like left out."""
    values = [part for part in clause.children if part.type == "expression_list"]
    found = [value for part in values for value in part.children]
    inner = [value.get("arguments") for value in found if value.type == "function_call"]
    return found + [part for arguments in inner if arguments is not None for part in arguments.children[:1]]
