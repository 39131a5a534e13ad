"""Code that never runs, and conditions that are not what they seem."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from luau_rft.luau import flow
from luau_rft.luau.constants import LITERALS, truth
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import Node, Tree, arguments, callee, fact, method, strip
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import infer, string_value
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.values import COMPARISONS, binary, is_plain, number_of, same

_EQUALITY = frozenset({"==", "~="})
_ORDER = frozenset({"<", ">", "<=", ">="})
_CHAINS = ("if_statement", "if_expression")


def unreachable_code(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Statements that can never run: after a ``return`` or an endless loop, or below a condition of literals.

    Bad:
        error("no door")
        workspace.Name = "a"
    Good:
        if not workspace:FindFirstChild("Door") then
            error("no door")
        end
        workspace.Name = "a"
    Bad:
        if 1 == 2 then
            workspace.Name = "a"
        end
    Good:
        if workspace.Name == "b" then
            workspace.Name = "a"
        end
    Like: Luau UnreachableCode
    """
    return _dead_code(tree)


@fact
def _dead_code(tree: Tree) -> tuple[tuple[Node, str], ...]:
    found = {node: f"this never runs: {why}" for node, why in flow.unreachable(tree) if not _is_bare_return(node)}
    for statement in tree.of("if_statement"):
        decided = None
        for condition, body in flow.branches(statement):
            holds = _literal_truth(condition)
            if body is not None and decided is not None:
                found.setdefault(body, f"this never runs: the condition on line {decided.line} is always true")
            elif body is not None and holds is False:
                found.setdefault(body, "this never runs: its condition is never true")
            decided = condition if decided is None and holds else decided
    for loop in tree.of("while_statement"):
        if _literal_truth(loop.get("condition")) is False:
            found.setdefault(loop, "this never runs: its condition is never true")
    asserts = (call for call in tree.calls("assert") if call.is_statement and arguments(call))
    failing = {call: call.parent for call in asserts if _literal_truth(arguments(call)[0]) is False}
    for block in dict.fromkeys(failing.values()):
        for before, after in pairwise(block.children if block is not None else ()):
            if before in failing:
                found.setdefault(after, f"this never runs: the assert on line {before.line} always fails")
                break
    return tuple(found.items())


def _is_bare_return(node: Node) -> bool:
    """A ``return nil`` after an ``error`` is there for the type checker."""
    return node.type == "return_statement" and not any(part.type in ("identifier", "string") for part in node.walk())


def constant_condition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A condition that is always true or always false: literals, a value compared with itself, a flag never changed.

    ``while true`` is fine, and so are flags in LOUD_CASE, which people set by hand.

    Bad:
        local enabled = false
        if enabled then
            workspace:ClearAllChildren()
        end
    Good:
        local enabled = workspace:GetAttribute("Enabled")
        if enabled then
            workspace:ClearAllChildren()
        end
    """
    dead = {_chain_of(node) for node, _ in _dead_code(tree)}
    found: set[Node] = set()
    for condition in _conditions(tree):
        holds = truth(condition)
        if holds is None:
            holds = _odd_truth(condition)
        if holds is None or _is_switch(condition) or not found.isdisjoint(condition.ancestors()):
            continue
        if _chain_of(condition) not in dead or _literal_truth(condition) is None:
            found.add(condition)
            yield condition, f"this is always {'true' if holds else 'false'}: test something that can change"


def _chain_of(node: Node) -> Node | None:
    """The ``if`` that a condition or a branch belongs to; for a loop itself."""
    above = node if node.type in _LOOPS else node.parent
    return above.parent if above is not None and above.type in ("elseif_statement", "else_statement") else above


def if_same_then_else(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Two branches of an ``if`` that follow each other and do the same; single statements only where one is the else.

    Bad:
        game:GetService("Players").PlayerAdded:Connect(function(player)
            if player.Name == "Ann" then
                player:SetAttribute("Team", "Red")
            else
                player:SetAttribute("Team", "Red")
            end
        end)
    Good:
        game:GetService("Players").PlayerAdded:Connect(function(player)
            if player.Name == "Ann" then
                player:SetAttribute("Team", "Red")
            else
                player:SetAttribute("Team", "Blue")
            end
        end)
    Like: selene if_same_then_else
    """
    for statement in tree.of("if_statement"):
        for (_, first), (condition, second) in pairwise(flow.branches(statement)):
            if first is None or second is None or not same(first, second):
                continue
            if condition is None or len(first.children) > 1:  # of two conditions each may deserve its own line
                yield second, f"this does the same as the branch on line {first.line}: delete it or join the conditions"
    for expression in tree.of("if_expression"):
        values = [expression.get("consequence")]
        values += [part.get("consequence") for part in expression.children if part.type.endswith("_clause")]
        for first, second in pairwise(values):
            if first is not None and second is not None and same(first, second):
                yield second, "both branches give the same value: drop the condition"


def ifs_same_cond(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The same condition twice in an ``if`` and its ``elseif``, or the same side twice in ``and`` or ``or``.

    Bad:
        local size = workspace:GetAttribute("Size")
        if size == 1 then
            print("one")
        elseif size == 1 then
            print("two")
        end
    Good:
        local size = workspace:GetAttribute("Size")
        if size == 1 then
            print("one")
        elseif size == 2 then
            print("two")
        end
    Bad:
        local red, blue = workspace:FindFirstChild("Red"), workspace:FindFirstChild("Blue")
        print(red and red, blue)
    Good:
        local red, blue = workspace:FindFirstChild("Red"), workspace:FindFirstChild("Blue")
        print(red and blue)
    Like: selene ifs_same_cond, Luau DuplicateCondition
    """
    for statement in tree.of(*_CHAINS):
        parts = [statement, *(part for part in statement.children if part.type.startswith("elseif"))]
        yield from _repeated([part.get("condition") for part in parts])
    for operator in ("and", "or"):
        for top in binary(tree, operator):
            if top.parent is None or top.parent.operator != operator or top.field != "left":
                yield from _repeated(_operands(top))


def misleading_and_or(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """``a and false or b`` and ``a and nil or b``: they always give ``b``, for what is meant if ``a`` holds is false.

    Bad:
        local isOpen = workspace.Name == "Night" and false or true
    Good:
        local isOpen = if workspace.Name == "Night" then false else true
    Like: Luau MisleadingAndOr
    """
    for node in binary(tree, "or"):
        left = node.get("left")
        left = strip(left) if left is not None else None
        middle = left.get("right") if left is not None and left.operator == "and" else None
        if middle is not None and truth(middle) is False and middle.type in ("false", "nil"):
            yield node, f"this never gives {middle.text}: write `if a then {middle.text} else b`"


def comparison_precedence(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """``not a == b``, which is ``(not a) == b``, and chains such as ``a < b < c``.

    Bad:
        if not workspace.Name == "Night" then
            workspace.Name = "Night"
        end
    Good:
        if not (workspace.Name == "Night") then
            workspace.Name = "Night"
        end
    Bad:
        local size = #workspace:GetChildren()
        print(1 < size < 3)
    Good:
        local size = #workspace:GetChildren()
        print(1 < size and size < 3)
    Like: Luau ComparisonPrecedence
    """
    for node in binary(tree, *COMPARISONS):
        left, right = node.get("left"), node.get("right")
        if left is None or right is None:
            continue
        if left.operator == "not" and right.operator != "not":
            opposite = {"==": "~=", "~=": "==", "<": ">=", ">": "<=", "<=": ">", ">=": "<"}[node.operator or ""]
            yield node, f"`not` takes only the left side: write `a {opposite} b`"
        elif left.operator in COMPARISONS:
            yield node, "this compares true or false with the last value: write `a < b and b < c`"


def type_check_inside_call(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """``type(x == "string")``: the comparison stands inside the call, so this is always "boolean".

    Bad:
        local value = workspace:GetAttribute("Size")
        print(type(value == "number"))
    Good:
        local value = workspace:GetAttribute("Size")
        print(type(value) == "number")
    Like: selene type_check_inside_call
    """
    for call in tree.calls("type", "typeof"):
        given = arguments(call)
        if given and strip(given[0]).operator in COMPARISONS:
            yield call, f"the comparison belongs outside: write {callee(call)}(x) == y"


_LUA_TYPES = frozenset(["nil", "boolean", "number", "string", "table", "function", "thread", "userdata", "buffer"])
_ENGINE_TYPES = frozenset(["Instance", "Enums", "vector"])
_UNORDERED = frozenset(["boolean", "Instance", "Vector2", "Vector3", "CFrame", "Color3", "UDim2"])
_PRIMITIVES = frozenset({"number", "string", "boolean"})


def wrong_type_comparison(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comparison that cannot hold, or is an error, because its sides are of different types.

    Bad:
        local items = workspace:GetChildren()
        print(#items == "3")
    Good:
        local items = workspace:GetChildren()
        print(#items == 3)
    Bad:
        local value = workspace:GetAttribute("Size")
        print(typeof(value) == "Vector")
    Good:
        local value = workspace:GetAttribute("Size")
        print(typeof(value) == "Vector3")
    Bad:
        game:GetService("UserInputService").InputBegan:Connect(function(input)
            print(input.KeyCode == "E")
        end)
    Good:
        game:GetService("UserInputService").InputBegan:Connect(function(input)
            print(input.KeyCode == Enum.KeyCode.E)
        end)
    Like: Luau UnknownType
    """
    yield from _unknown_type_names(tree)
    for node in binary(tree, *COMPARISONS):
        left, right = node.get("left"), node.get("right")
        if left is None or right is None or left.operator == "not" or left.operator in COMPARISONS:
            continue
        left, right = strip(left), strip(right)
        if left.type in LITERALS and right.type in LITERALS:
            continue
        a, b = _type_name(left), _type_name(right)
        if a is None or b is None:
            continue
        if node.operator in _ORDER:
            if (a != b and {a, b} & _PRIMITIVES) or (a == b and _family(a) in _UNORDERED) or "nil" in (a, b):
                yield node, f"{a} and {b} cannot be ordered: this is an error"
        elif "nil" in (a, b):
            value, of_type = (left, a) if b == "nil" else (right, b)
            if _is_never_nil(value, of_type):
                yield node, f"this is a {of_type}, never nil: compare it with what it can be"
        elif _family(a) != _family(b):
            yield node, f"{a} and {b} are never equal: convert one, or compare with a {a}"


def _unknown_type_names(tree: Tree) -> Iterator[Hit]:
    """Names that ``type`` or ``typeof`` are compared with though they never give them."""
    inference, scopes = infer(tree), resolve(tree)
    holders = {strip(v.value): v for v in scopes.variables if v.value is not None and not v.writes}
    for call in tree.calls("type", "typeof"):
        if inference.global_name(call.get("name")) is None:
            continue
        variable = holders.get(call)
        for place in [call] if variable is None else variable.reads:
            comparison = place.parent
            if comparison is None or comparison.operator not in _EQUALITY:
                continue
            for side in comparison.children:
                name = string_value(side)
                if name is not None and name not in _type_names(callee(call)):
                    yield comparison, _right_type_name(callee(call), name)


def _right_type_name(function: str, name: str) -> str:
    if name in database().classes:
        return f'{function}() never gives "{name}": use :IsA("{name}")'
    if name in _type_names("typeof"):
        return f'type() never gives "{name}", typeof() does'
    return f'{function}() never gives "{name}"'


@cache
def _type_names(function: str) -> frozenset[str]:
    if function == "type":
        return _LUA_TYPES | {"vector"}
    return _LUA_TYPES | _ENGINE_TYPES | frozenset(database().datatypes)


def _type_name(node: Node) -> str | None:
    """The type of a value as ``luau_rft.roblox.api`` names it, "nil" among them."""
    if node.type == "nil":
        return "nil"
    if node.type == "unary_expression":
        if node.operator == "-":
            return "number" if number_of(node) is not None else None
        return "number" if node.operator == "#" else "boolean"
    if node.type == "binary_expression" and node.operator == "%":
        right = node.get("right")
        return "number" if right is not None and number_of(right) is not None else None
    found = infer(node.tree).type_of(node)
    return found.name if found is not None and _family(found.name) is not None else None


@cache
def _family(name: str) -> str | None:
    """What stands for all types that a value of this type can be equal to; None where that is not known."""
    api = database()
    if name in _PRIMITIVES or (name.startswith("Enum.") and name[5:] in api.enums):
        return name
    if name in api.classes:
        return "Instance"
    return name if name in api.datatypes and name not in ("Content", "EnumItem", "vector", "buffer") else None


def _is_never_nil(node: Node, of_type: str) -> bool:
    """Whether the platform says so: a property of a plain type, or what a function always gives back."""
    if of_type not in _PRIMITIVES:
        return False
    if node.type == "unary_expression":
        return True
    inference = infer(node.tree)
    if node.type == "dot_index_expression":
        member = inference.member_of(node)
        return member is not None and member.kind == "property" and member.type == of_type
    if node.type != "function_call" or node.get("name") is None:
        return False
    name = inference.global_name(node.get("name"))
    member = inference.member_of(node.get("name")) if name is None else database().global_(name)  # type: ignore[arg-type]
    return member is not None and member.returns == of_type


def _literal_truth(condition: Node | None) -> bool | None:
    """The truth of a condition that names nothing."""
    if condition is None or any(node.type == "identifier" for node in condition.walk()):
        return None
    return truth(condition)


def _conditions(tree: Tree) -> Iterator[Node]:
    """What decides at an ``if``, a loop, or on the left of an ``and``; what makes a loop endless is left out."""
    for node in tree.of("if_statement", "elseif_statement", "if_expression", "elseif_clause"):
        if (condition := node.get("condition")) is not None:
            yield condition
    for loop in tree.of(*_LOOPS):
        condition = loop.get("condition")
        # `while true` goes on until a break; `repeat until true` runs once, so that break can stand for continue.
        if condition is not None and condition.type != "true" and truth(condition) is not (loop.type == _LOOPS[0]):
            yield condition
    for node in binary(tree, "and"):
        left = node.get("left")
        if left is not None and strip(left).type in ("identifier", "unary_expression"):
            yield left


_LOOPS = ("while_statement", "repeat_statement")


def _odd_truth(condition: Node) -> bool | None:
    """The truth of a value compared with itself, which ``truth`` does not look at."""
    condition = strip(condition)
    if condition.operator == "not" and condition.children:
        inner = _odd_truth(condition.children[0])
        return None if inner is None else not inner
    if condition.operator in COMPARISONS and len(condition.children) == 2:
        left, right = condition.children
        if is_plain(left) and same(left, right) and not (condition.operator in _EQUALITY and _may_be_nan(left)):
            return condition.operator in ("==", "<=", ">=")
    return None


def _may_be_nan(node: Node) -> bool:
    found = infer(node.tree).type_of(node)
    return found is None or not (found.name in ("string", "boolean") or _family(found.name) == "Instance")


_LOUD = re.compile(r"_*[A-Z][A-Z0-9_]*")


def _is_switch(condition: Node) -> bool:
    """Whether a condition asks for a local in LOUD_CASE, or just whether there is a ``game``."""
    of = resolve(condition.tree).of
    if condition.type == "identifier" and condition not in of:
        return True
    return any(node in of and _LOUD.fullmatch(node.text) for node in condition.walk() if node.type == "identifier")


def _operands(top: Node) -> list[Node]:
    """The sides of ``a and b and c``."""
    found: list[Node] = []
    node: Node | None = top
    while node is not None and node.operator == top.operator and len(node.children) == 2:
        found.append(node.children[1])
        node = node.children[0]
    return [*([node] if node is not None else []), *reversed(found)]


# Calls that give the same when they are written twice in one condition.
_REPEATABLE = frozenset(
    ["FindFirstChild", "GetAttribute", "HasTag", "IsA", "IsDescendantOf", "type", "typeof", "tostring"]
)
_MAX_COMPARED = 300  # bytes; nobody repeats longer conditions by mistake, and nested ones would be read at each level


def _repeated(expressions: list[Node | None]) -> Iterator[Hit]:
    seen: dict[tuple[object, ...], Node] = {}
    for expression in expressions:
        if expression is None or expression.end - expression.start > _MAX_COMPARED:
            continue
        parts = list(strip(expression).walk())
        calls = [part for part in parts if part.type == "function_call"]
        if any((method(call) or callee(call)) not in _REPEATABLE for call in calls):
            continue
        form = tuple((p.type, p.operator, p.text if not p.children or p.type == "string" else None) for p in parts)
        if form in seen:
            yield expression, f"the same stands already on line {seen[form].line}: test something else or delete it"
        seen.setdefault(form, expression)
