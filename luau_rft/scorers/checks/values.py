"""Values that are assigned, divided, listed or dropped by mistake."""

import re
from collections.abc import Iterator

from luau_rft.luau.functions import MULTIPLE
from luau_rft.luau.scopes import Scopes, resolve, targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, method, strip
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import infer, string_value
from luau_rft.scorers.base import Hit


def almost_swapped(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Two assignments that look like a swap: the second gives back the value that the first has just set.

    Bad:
        local red, blue = workspace.Red, workspace.Blue
        red = blue
        blue = red
    Good:
        local red, blue = workspace.Red, workspace.Blue
        red, blue = blue, red
    Like: selene almost_swapped
    """
    for block in tree.of("block", "chunk"):
        for before, after in zip(block.children, block.children[1:], strict=False):
            if before.type != "assignment_statement" or after.type != "assignment_statement":
                continue
            first, second = _pair(before), _pair(after)
            if first and second and same(first[0], second[1]) and same(first[1], second[0]) and _is_place(first[1]):
                a, b = first[0].text, first[1].text
                yield after, f"this does not swap, both are the same by now: write {a}, {b} = {b}, {a}"


def self_assignment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An assignment of a variable or field to itself.

    Bad:
        local part = workspace.Part
        part.Name = part.Name
    Good:
        local part = workspace.Part
        part.Name = part.Name .. "2"
    """
    for node in tree.of("assignment_statement"):
        pair = _pair(node) if node.is_statement else None
        if pair is None or not _is_place(pair[0]) or not same(*pair):
            continue
        if pair[0].type == "identifier" or not _has_setters(tree):
            yield node, "this assigns a value to itself: delete it, or assign what was meant"


def _has_setters(tree: Tree) -> bool:
    """Whether the text sets a ``__newindex``: there ``self.zoom = self.zoom`` may clamp."""
    return "__newindex" in tree.source and any(node.text == "__newindex" for node in tree.of("identifier"))


def divide_by_zero(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A division by a zero that stands there; ``0/0`` and ``1/0`` are the accepted spellings of nan and infinity.

    Bad:
        local share = workspace.Gravity / 0
        local rest = workspace.Gravity % 0
    Good:
        local share = workspace.Gravity / 2
        local infinity = 1 / 0
    Like: selene divide_by_zero
    """
    scopes = resolve(tree)
    for node in tree.of("binary_expression", "update_statement"):
        if (node.operator or "")[:1] not in ("/", "%"):
            continue
        left, right = node.get("left"), node.get("right")
        if node.type == "update_statement":
            right = next(iter(targets_and_values(node)[1]), None)
        if right is None or _settled(right, scopes) != 0:
            continue
        if node.operator != "/" or left is None or number_of(left) not in (0.0, 1.0, -1.0):
            yield node, "this divides by zero, which gives inf or nan: divide by something else, or write math.huge"


def _settled(expression: Node, scopes: Scopes) -> float | None:
    """The number that an expression is, or that a local is which never changes."""
    variable = scopes.of.get(strip(expression))
    if variable is None:
        return number_of(expression)
    return number_of(variable.value) if variable.value is not None and not variable.writes else None


def unbalanced_assignments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """More values than variables, or more variables than values with no call or ``...`` at the end to fill them.

    Bad:
        local width, height, depth = 1, 2
    Good:
        local width, height, depth = 1, 2, 3
    Bad:
        local name = workspace.Name, workspace.ClassName
    Good:
        local name, class = workspace.Name, workspace.ClassName
    Good:
        local first, second, third = 1, string.find("ab", "b")
    Like: selene unbalanced_assignments, Luau UnbalancedAssignment
    """
    if tree.errors:  # a type that the tree does not know can look like a list
        return
    for node in tree.of("assignment_statement"):
        targets, values = targets_and_values(node)
        if len(targets) == len(values) or not targets or not values:
            continue
        if len(values) > len(targets):
            yield node, f"{len(values)} values for {len(targets)} variables: the last are lost"
        elif values[-1].type not in MULTIPLE | {"cast_expression", "nil"}:
            yield (
                node,
                f"{len(values)} values for {len(targets)} variables: the last are nil",
            )


def duplicate_keys(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A key that stands twice in one table constructor: the later value replaces the earlier.

    Bad:
        return { coins = 1, gems = 2, coins = 3 }
    Good:
        return { coins = 1, gems = 2, keys = 3 }
    Bad:
        return { "first", [1] = "other" }
    Good:
        return { "first", "other" }
    Like: selene duplicate_keys, Luau TableLiteral
    """
    for table in tree.of("table_constructor"):
        if len(table.children) < 2:
            continue
        seen: dict[object, Node] = {}
        position = 0
        for field in table.children:
            if field.type != "field":
                continue
            if field.get("name") is None:
                position += 1
            key = _key(field) if field.get("name") is not None else float(position)
            if key in seen:
                yield field, f"the key stands already on line {seen[key].line}: one of the two values is lost"
            elif key is not None:
                seen[key] = field


def mixed_table(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A table constructor with both named fields and array items, those apart that are handed to a call or a pack.

    Interface libraries take properties and children in one table, and ``{ n = select("#", ...), ... }`` is a pack.
    A number that is written as a key, as in ``[2] = "shield"``, makes no named field.

    Bad:
        return { "sword", price = 10, "shield" }
    Good:
        return { items = { "sword", "shield" }, price = 10 }
    Like: selene mixed_table
    """
    for table in tree.of("table_constructor"):
        if len(table.children) > 1 and (table.parent is None or table.parent.type != "arguments"):
            named = [field.get("name") is not None for field in table.children if not _is_numbered(field)]
            last = table.children[-1].get("value")
            is_pack = named[-1:] == [False] and last is not None and last.type in MULTIPLE
            if any(named) and not all(named) and not is_pack:
                yield table, "this mixes array items and named fields: put the items into a field of their own"


def _is_numbered(field: Node) -> bool:
    """Whether a number is written as the key of a field; true for a comment, too."""
    return field.type != "field" or (field.get("name") is not None and isinstance(_key(field), float))


def constant_table_comparison(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comparison with a table that is made right there: no two tables are equal.

    Bad:
        local items = workspace:GetChildren()
        print(items == {})
    Good:
        local items = workspace:GetChildren()
        print(#items == 0)
    Like: selene constant_table_comparison
    """
    for node in binary(tree, *COMPARISONS):
        if any(strip(side).type == "table_constructor" for side in node.children):
            yield node, "a fresh table equals nothing: use next(t) == nil to ask whether it is empty"


def compare_nan(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comparison with nan, which is equal to nothing, not even to itself.

    Bad:
        local ratio = workspace:GetAttribute("Ratio")
        print(ratio == 0 / 0)
    Good:
        local ratio = workspace:GetAttribute("Ratio")
        print(ratio ~= ratio)
    Like: selene compare_nan
    """
    of = resolve(tree).of
    for node in binary(tree, *COMPARISONS):
        for side in map(strip, node.children):
            variable = of.get(side)
            if variable is not None and variable.value is not None and not variable.writes:
                side = strip(variable.value)
            if _is_nan(side):
                yield node, "nothing equals nan: write `x ~= x` to ask for it"
                break


def _is_nan(node: Node) -> bool:
    if node.operator == "-" and len(node.children) == 1:
        node = strip(node.children[0])
    if node.operator == "/" and len(node.children) == 2:
        return all(number_of(side) == 0 for side in node.children)
    return node.type == "dot_index_expression" and node.text == "math.nan"


# Letters that are an escape by themselves; digits, \x, \u, \z and a line's end are others.
_ESCAPES = frozenset("abfnrtvzxu\\\"'`{\n\r0123456789")


def bad_string_escape(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A backslash before a character that needs none or is no escape: Luau drops the backslash silently.

    Bad:
        print(string.match(workspace.Name, "^\\d+$"))
    Good:
        print(string.match(workspace.Name, "^%d+$"))
    Like: selene bad_string_escape
    """
    if b"\\" not in tree.data:
        return
    for node in tree.of("string"):
        if b"\\" not in tree.data[node.start : node.end]:
            continue
        written = tree.data[node.start : node.end]
        for match in () if written.startswith(b"[") else re.finditer(rb"\\(.)", written, re.DOTALL):
            at, escaped = node.start + match.start(), match[1].decode("ascii", "replace")
            if escaped not in _ESCAPES and not any(part.start <= at < part.end for part in node.children):
                yield node, f"\\{escaped} is no escape, the backslash is dropped: in patterns write %{escaped}"
                break


_PURE_GLOBALS = frozenset(
    ["tostring", "tonumber", "type", "typeof", "select", "rawequal", "rawget", "rawlen", "next", "pairs", "ipairs",
     "unpack", "tick", "time", "getmetatable"]
)  # fmt: skip
_PURE_MEMBERS = {
    "table": {"concat", "clone", "find", "unpack", "pack", "maxn", "create", "isfrozen", "getn"},
    "coroutine": {"create", "wrap", "running", "status", "isyieldable"},
    "os": {"time", "clock", "date", "difftime"},
}
_IMPURE_MEMBERS = {"string": {"gsub"}, "math": {"random", "randomseed"}}
_PURE_LIBRARIES = frozenset({"string", "math", "bit32", "utf8", "vector"})
# Datatypes whose values never change: their constructors and methods only give back something.
_IMMUTABLE = frozenset(
    {
        "BrickColor", "CFrame", "Color3", "ColorSequence", "ColorSequenceKeypoint", "DateTime", "NumberRange",
        "NumberSequence", "NumberSequenceKeypoint", "PhysicalProperties", "Ray", "Rect", "Region3", "TweenInfo",
        "UDim", "UDim2", "Vector2", "Vector2int16", "Vector3", "Vector3int16",
    }
)  # fmt: skip
_PURE_METHODS = frozenset(
    {
        "Clone", "GetChildren", "GetDescendants", "FindFirstChild", "FindFirstChildOfClass", "FindFirstChildWhichIsA",
        "FindFirstAncestor", "FindFirstAncestorOfClass", "FindFirstAncestorWhichIsA", "FindFirstDescendant", "IsA",
        "IsAncestorOf", "IsDescendantOf", "GetAttribute", "GetAttributes", "GetFullName", "GetTags", "HasTag",
        "GetPropertyChangedSignal", "GetAttributeChangedSignal", "GetPlayers", "GetPlayerFromCharacter", "GetPivot",
        "GetTagged", "GetMouseLocation", "GetPlayerByUserId", "GetPartBoundsInBox", "GetPartBoundsInRadius",
        "GetPartsInPart", "GetTouchingParts", "GetMass", "Raycast", "IsKeyDown", "GetState",
    }
)  # fmt: skip


def must_use(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A call that does nothing but give back a value, and the value is dropped.

    Bad:
        local name = workspace.Name
        string.upper(name)
    Good:
        local name = workspace.Name
        name = string.upper(name)
    Bad:
        workspace.CurrentCamera.CFrame:Lerp(CFrame.new(), 0.5)
    Good:
        local camera = workspace.CurrentCamera
        camera.CFrame = camera.CFrame:Lerp(CFrame.new(), 0.5)
    Bad:
        coroutine.wrap(function()
            print("never runs")
        end)
    Good:
        coroutine.wrap(function()
            print("runs")
        end)()
    Like: selene must_use
    """
    for call in tree.of("function_call"):
        if call.parent is None or call.parent.type not in ("block", "chunk"):
            continue
        if _gives_only_a_value(call):
            what = f":{name}()" if (name := method(call)) else f"{call.get('name').text}()"  # type: ignore[union-attr]
            yield call, f"the result of {what} is dropped, and that is all it does: assign it or delete the call"


def _gives_only_a_value(call: Node) -> bool:
    name = call.get("name")
    if name is None:
        return False
    inference = infer(call.tree)
    if name.type == "identifier":
        return name.text in _PURE_GLOBALS and inference.global_name(name) is not None
    owner = name.get("table")
    if owner is None:
        return False
    if name.type == "dot_index_expression":
        field, library = name.get("field"), inference.global_name(owner)
        if field is None or library is None:
            return False
        if library == "Instance":
            return field.text == "new" and len(arguments(call)) == 1
        if library in _PURE_LIBRARIES:
            return field.text not in _IMPURE_MEMBERS.get(library, ())
        return library in _IMMUTABLE or field.text in _PURE_MEMBERS.get(library, ())
    called = method(call)
    if name.type != "method_index_expression" or called is None:
        return False
    receiver = inference.type_of(owner)
    if receiver is None:
        return False
    if receiver.name == "string":
        return called != "gsub" and database().static("string", called) is not None
    if receiver.name in _IMMUTABLE:
        return inference.member_of(name) is not None
    if receiver.name == "TweenService":
        return called == "Create"
    return called in _PURE_METHODS and receiver.name in database().classes


def integer_parsing(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An integer that is too large to be kept exactly: numbers are exact up to 2^53.

    Bad:
        local id = 9007199254740993
        local mask = 0xFFFFFFFFFFFFFFFFFF
    Good:
        local id = 9007199254740992
        local text = "9007199254740993"
    Like: Luau IntegerParsing
    """
    for node in tree.of("number"):
        if node.end - node.start < 14:  # no shorter number exceeds 2^53
            continue
        text = node.text.replace("_", "").lower()
        base = {"0x": 16, "0b": 2}.get(text[:2], 10)
        if re.fullmatch(r"0x[0-9a-f]+|0b[01]+|[0-9]+", text) and len(text) < 300:
            value = int(text, base)
            if value >= 1 << 64 or int(float(value)) != value:
                yield node, "the number is not kept exactly, the last digits are lost: write it as a string"


COMPARISONS = frozenset({"==", "~=", "<", ">", "<=", ">="})


def binary(tree: Tree, *operators: str) -> Iterator[Node]:
    """The expressions with two sides and one of these operators."""
    return (node for node in tree.of("binary_expression") if node.operator in operators)


def same(a: Node, b: Node) -> bool:
    """Whether two pieces of code are the same but for blanks, comments, parentheses and types."""
    pending = [(a, b)]
    while pending:
        left, right = map(strip, pending.pop())
        if left.type != right.type or left.operator != right.operator or len(left.children) != len(right.children):
            return False
        if (not left.children or left.type in ("string", "field")) and _written(left) != _written(right):
            return False
        pending.extend(zip(left.children, right.children, strict=True))
    return True


def is_plain(expression: Node) -> bool:
    """Whether an expression runs no function and makes no new value, so that it is the same if it stands twice."""
    return not any(part.type in _MAKING for part in expression.walk())


_MAKING = frozenset({"function_call", "table_constructor", "function_definition", "ERROR"})


def _written(node: Node) -> bytes:
    end = node.start + 1 if node.type == "field" else node.end  # tells `[a] = 1` from `a = 1`
    return node.tree.data[node.start : end]


def _pair(statement: Node) -> tuple[Node, Node] | None:
    """Target and value of an assignment of one value."""
    targets, values = targets_and_values(statement)
    return (targets[0], values[0]) if len(targets) == len(values) == 1 else None


def _is_place(node: Node) -> bool:
    return node.type in ("identifier", "dot_index_expression", "bracket_index_expression") and is_plain(node)


def _key(field: Node) -> object | None:
    """What tells the key of a table's field from others; None where it can only be known at run time."""
    name = field.get("name")
    if name is None:
        return None
    if _written(field) != b"[":
        return name.text
    if name.type == "string":
        return string_value(name)
    if name.type in ("identifier", "dot_index_expression") and is_plain(name):
        return ("[", "".join(name.text.split()))
    return number_of(name)


def number_of(expression: Node) -> float | None:
    """The value of a number that stands there, or None.

    >>> from luau_rft.luau.tree import parse
    >>> [number_of(node) for node in parse("return -1e3, (0x10), x").root.children[0].children[0].children]
    [-1000.0, 16.0, None]
    """
    expression, sign = strip(expression), 1.0
    if expression.type == "unary_expression" and expression.operator == "-" and expression.children:
        expression, sign = strip(expression.children[0]), -1.0
    if expression.type != "number":
        return None
    text = expression.text.replace("_", "").lower()
    try:
        base = {"0x": 16, "0b": 2}.get(text[:2])
        return sign * (int(text, base) if base else float(text))
    except (ValueError, OverflowError):
        return None
