"""Calls that do not fit what they call: arguments, results, recursion."""

import re
from collections.abc import Iterator
from functools import cache

from luau_rft.luau.flow import ending, own_nodes
from luau_rft.luau.functions import (
    Call,
    always_runs,
    count,
    falls_off,
    most_results,
    own_calls,
    parameters,
    returned,
    returns,
)
from luau_rft.luau.scopes import resolve, targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, callee, fact, root_name
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import infer
from luau_rft.scorers.base import Hit

# Fewest and most arguments where the API's definitions do not say them, or say them wrong.
_COUNTS: dict[str, tuple[int, int | None]] = {
    "collectgarbage": (0, 1),
    "getmetatable": (1, 1),
    "math.max": (1, None),
    "math.min": (1, None),
    "os.date": (0, 2),
    "os.difftime": (1, 2),
    "setmetatable": (2, 2),
    "string.len": (1, 1),
    "string.split": (1, 2),
    "table.concat": (1, 4),
    "table.find": (2, 3),
    "table.insert": (2, 3),
    "table.maxn": (1, 1),
    "table.move": (4, 5),
    "table.remove": (1, 2),
    "table.unpack": (1, 3),
    "vector.lerp": (3, 3),
}
_LIBRARIES = frozenset(database().libraries) - {"Instance", "task"}  # what these take is in the rule of the API
_RETURN = "return_statement"
_NEEDING = frozenset({"+", "-", "*", "/", "//", "%", "^", "..", "<", ">", "<=", ">="})
_ASKING = frozenset({"and", "or", "==", "~="})
_TYPE = re.compile(r"(?:export\s+)?type\s+(\w+)")
_ANNOTATED = re.compile(r"\w+\s*:\s*((?:Enum\.)?\w+)")


def mismatched_arg_count(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A call of the script's own function with more arguments than it takes, or without one that it surely needs.

    Bad:
        local function double(x)
            return x * 2
        end
        workspace.Gravity = double()
    Bad:
        local function double(x)
            return x * 2
        end
        workspace.Gravity = double(98, 2)
    Good:
        local function double(x)
            return x * 2
        end
        workspace.Gravity = double(98)
    Good:
        local function double(x, factor)
            return x * (factor or 2)
        end
        workspace.Gravity = double(98)
    Like: selene mismatched_arg_count
    """
    needed: dict[Node, list[Node]] = {}
    for call in own_calls(tree):
        named, takes_more = parameters(call.function)
        least, most = count(arguments(call.node))
        if least + call.shift > len(named) and not takes_more and not _passes_index(call.node):
            if len(named) < call.shift:
                yield call.node, "the function takes no `self`: call it with a dot, or declare it with a colon"
            else:
                takes = _times(len(named) - call.shift, "argument")
                yield call.node, f"the function takes {takes}, not {least}: it never sees the others"
        elif most is not None and not call.is_virtual:
            if call.function not in needed:
                needed[call.function] = [name for name in named if _needed(name, call.function)]
            missing = [name for name in needed[call.function] if name in named[max(0, most + call.shift) :]]
            if missing:
                yield call.node, f"the function needs `{_name(missing[0]).text}`, which this call leaves out"


def lua_argument_count(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A call of a function of Luau's own libraries with more or fewer arguments than it takes.

    Bad:
        workspace.Gravity = math.round(98.25, 1)
    Bad:
        workspace.Name = string.rep("ab")
    Good:
        workspace.Gravity = math.round(98.25 * 10) / 10
        workspace.Name = string.rep("ab", 3)
    Like: selene incorrect_standard_library_use
    """
    scopes = resolve(tree)
    written = {name.text for name in scopes.global_writes}
    for call in tree.calls(*_counts()):
        root = root_name(call.get("name"))
        if root not in scopes.of and root.text not in written:
            yield from _miscounted(call, callee(call), 0)
    for call in tree.method_calls(*database().libraries["string"]["members"]):
        name = call.get("name")
        text = f"string.{name.get('method').text}"
        receiver = name.get("table")
        if any(_miscounted(call, text, 1)) and (infer(tree).type_of(receiver) or ("",))[0] == "string":
            yield from _miscounted(call, text, 1)


def implicit_return(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function that gives a value by ``return`` on some paths and runs off its end on others.

    An explicit ``return`` says that nothing is meant, and so does a search whose loop found nothing, or an iterator
    that has come to its end.

    Bad:
        local function price(name)
            if name == "Sword" then
                return 100
            elseif name == "Shield" then
                return 50
            end
        end
        workspace.Gravity = price(workspace.Name)
    Good:
        local function price(name)
            if name == "Sword" then
                return 100
            elseif name == "Shield" then
                return 50
            end
            return 0
        end
        workspace.Gravity = price(workspace.Name)
    Like: Luau ImplicitReturn
    """
    for function, statements in returns(tree).items():
        if function is None or not falls_off(function) or _never_falls(function) or _is_iterator(function):
            continue
        values = [value for statement in statements for value in returned(statement)]
        if any(value.type not in _LEAVING for value in values) and all(map(returned, statements)):
            yield function, "some paths return a value, others run off the end: return something there, or nil"


def missing_return_value(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Using more values of a call than the called function ever returns.

    Bad:
        local function greet(player)
            player:SetAttribute("Greeted", true)
        end
        local greeting = greet(workspace)
        workspace.Name = greeting
    Bad:
        local function size()
            return 1, 2
        end
        local width, height, depth = size()
        workspace.Gravity = width * height * depth
    Bad:
        local sorted = table.sort({ 3, 1, 2 })
        workspace.Gravity = sorted[1]
    Good:
        local list = { 3, 1, 2 }
        table.sort(list)
        workspace.Gravity = list[1]
    """
    for call in tree.calls(*_GIVING_NOTHING):
        if root_name(call.get("name")) not in resolve(tree).of and _wanted(call):
            yield call, f"{callee(call)} returns nothing: this value is always nil"
    calls = own_calls(tree)
    results = {function: most_results(function) for function in {call.function for call in calls}}
    for call in calls:
        most = results[call.function]
        if most:
            if _targets_from(call.node) > most:
                yield call.node, f"the function returns at most {_times(most, 'value')}; the others are always nil"
        elif most == 0 and _wanted(call.node) and not _may_be_overridden(call):
            yield call.node, "the function returns nothing: this value is always nil"


def endless_recursion(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function that calls itself whenever it is called, without anything that could end it.

    Bad:
        local function count(n)
            workspace.Gravity = n
            return count(n - 1)
        end
        count(10)
    Good:
        local function count(n)
            if n == 0 then
                return 0
            end
            workspace.Gravity = n
            return count(n - 1)
        end
        count(10)
    """
    stops = [stop.start for stop in tree.calls("error", "assert", "coroutine.yield")]
    for call in own_calls(tree):
        inside = call.function.start < call.node.start < call.function.end
        if inside and always_runs(call.node, call.function) and not _may_stop(call, stops):
            yield call.node, "the function calls itself each time: nothing ends this recursion"


@cache
def _counts() -> dict[str, tuple[int, int | None]]:
    api = database()
    members = [
        api.static(library, name) for library in sorted(_LIBRARIES) for name in api.libraries[library]["members"]
    ]
    members += [api.global_(name) for name in api.globals]
    found = {
        f"{member.owner}.{member.name}" if member.owner else member.name: member.arity
        for member in members
        if member is not None and member.kind == "function"
    }
    return found | _COUNTS


def _miscounted(call: Node, name: str, receiver: int) -> Iterator[Hit]:
    """The finding where ``name`` does not take the arguments of ``call``; ``receiver`` is 1 if a colon passes one."""
    least, most = _counts().get(name, (0, None))
    given_least, given_most = count(arguments(call))
    takes = _range(max(0, least - receiver), None if most is None else most - receiver)
    if given_most is not None and given_most + receiver < least:
        yield call, f"{name} takes {takes}, not {given_most}"
    elif most is not None and given_least + receiver > most:
        yield call, f"{name} takes {takes}, not {given_least}"


def _range(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {_times(least, 'argument')}"
    return _times(most, "argument") if least == most else f"{least} to {_times(most, 'argument')}"


def _times(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _name(parameter: Node) -> Node:
    return parameter.children[0] if parameter.type == "parameter" and parameter.children else parameter


def _needed(parameter: Node, function: Node) -> bool:
    """Whether a call without this argument fails, or breaks the type that is written for it."""
    variable = resolve(function.tree).of.get(_name(parameter))
    if variable is None:
        return False
    first = min(variable.reads, key=lambda read: read.start, default=None)
    is_first = first is not None and not any(write.start < first.start for write in variable.writes)
    if is_first and _fails_for_nil(first) and always_runs(first, function):
        return True
    return _is_required(parameter) and not variable.writes and not any(map(_asks, variable.reads))


def _is_required(parameter: Node) -> bool:
    """Whether the annotation is one plain type of the platform, so not optional."""
    match = _ANNOTATED.fullmatch(parameter.text) if parameter.typed else None
    name = match[1] if match else ""
    api = database()
    known = name in ("string", "number", "boolean", "Enum") or name in api.classes or name in api.datatypes
    return (known or name.startswith("Enum.")) and name not in _own_types(parameter.tree)


@fact
def _own_types(tree: Tree) -> frozenset[str]:
    matches = (_TYPE.match(node.text) for node in tree.of("type_definition"))
    return frozenset(match[1] for match in matches if match)


def _fails_for_nil(read: Node) -> bool:
    parent = read.parent
    match parent.type if parent is not None else "":
        case "dot_index_expression" | "method_index_expression" | "bracket_index_expression":
            return read.field == "table"
        case "function_call":
            return read.field == "name"
        case "binary_expression":
            return parent.operator in _NEEDING
        case "unary_expression":
            return parent.operator in ("-", "#")
        case "for_numeric_clause":
            return True
    return False


def _asks(read: Node) -> bool:
    """Whether the program looks at the truth or equality of the value, so reckons with nil."""
    parent = read.parent
    if parent is None or read.field == "condition":
        return True
    if parent.type == "arguments":
        return callee(parent.parent) in ("type", "typeof", "assert", "tostring", "select")
    return parent.operator in _ASKING or parent.operator == "not" or parent.type == "cast_expression"


def _passes_index(call: Node) -> bool:
    """Whether value, index and container are passed, as compiled TypeScript does to every callback of ``forEach``."""
    given = arguments(call)
    if len(given) != 3 or any(value.end - value.start > 60 for value in given):
        return False
    return given[1].operator == "-" or given[1].text == given[0].text


# `return f()` is a way to leave early, a returned function a clean-up that is not always needed.
_LEAVING = frozenset({"nil", "function_call", "function_definition"})

_GIVING_NOTHING = ("table.insert", "table.sort", "table.clear", "task.cancel", "print", "warn", "math.randomseed")


def _never_falls(function: Node) -> bool:
    """Whether what stands at the function's end is a failed assertion, or a loop made to be left by ``return``."""
    body = function.get("body")
    last = body.children[-1] if body is not None and body.children else None
    if last is None:
        return False
    return last.type == "for_statement" or (last.type == "function_call" and callee(last) == "assert")


def _is_iterator(function: Node) -> bool:
    """Whether a function is returned to be called again and again, and counts in an outer variable."""
    scopes = resolve(function.tree)
    name = function.get("name")
    variable = scopes.of.get(name) if name is not None else None
    uses = variable.reads if variable is not None else [function]
    if not any(_is_returned(use) for use in uses):
        return False
    steps = (node for node in own_nodes(function) if node.type in ("assignment_statement", "update_statement"))
    targets = (scopes.of.get(target) for step in steps for target in targets_and_values(step)[0])
    return any(target is not None and target.node.start < function.start for target in targets)


def _is_returned(value: Node) -> bool:
    return value.parent is not None and value.parent.parent is not None and value.parent.parent.type == _RETURN


def _may_be_overridden(call: Call) -> bool:
    """Whether a function that returns nothing is a stub for others to fill."""
    body = call.function.get("body")
    if body is None or not body.children or call.is_virtual:
        return True
    return body in ending(call.node.tree) and body.children[-1].type != _RETURN


def _targets_from(call: Node) -> int:
    """How many variables are to get a value from this call, as the last of a declaration or assignment."""
    statement = call.parent.parent if call.parent is not None else None
    if statement is None or statement.type != "assignment_statement":
        return 0
    targets, values = targets_and_values(statement)
    return len(targets) - len(values) + 1 if values and values[-1] is call else 0


def _wanted(call: Node) -> bool:
    """Whether the program does something with the value of ``call``; to return it, or to drop it, does not count."""
    parent = call.parent
    if parent is None or call.is_statement:
        return False
    if parent.type == "expression_list":
        targets, values = targets_and_values(parent.parent)
        at = values.index(call) if call in values else len(targets)
        return at < len(targets) and not targets[at].text.startswith("_")
    if parent.type == "arguments":
        return callee(parent.parent) not in ("print", "warn", "select", "table.pack")
    if parent.type == "binary_expression" and parent.operator in ("and", "or"):
        return call.field == "left"
    return parent.type in _USING or call.field == "condition"


_USING = frozenset(
    {"binary_expression", "unary_expression", "field", "interpolation", "for_numeric_clause"}
    | {"dot_index_expression", "method_index_expression", "bracket_index_expression"}
)


def _may_stop(call: Call, stops: list[int]) -> bool:
    """Whether something before the call can end the function: an error, or a thread that is never resumed."""
    return any(call.function.start < stop < call.node.start for stop in stops)
