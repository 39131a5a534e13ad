"""Loops that never end, or never give way to other threads."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from luau_rft.luau import flow
from luau_rft.luau.effects import is_silent
from luau_rft.luau.scopes import Variable, function_of, resolve, targets_and_values
from luau_rft.luau.tree import (
    FUNCTIONS,
    LOOPS,
    Node,
    Tree,
    arguments,
    callee,
    fact,
    last_name,
    method,
    root_name,
    strip,
)
from luau_rft.roblox.api import database
from luau_rft.scorers.base import Hit

_YIELDING = frozenset({"wait", "task.wait", "coroutine.yield", "Wait", "require"})
_WAITS = frozenset({"wait", "task.wait"})
_TIMES = frozenset({"tick", "time", "os.time", "os.clock", "elapsedTime", "DateTime.now"})
_GETTERS = ("Find", "Get", "Is")
_HARMLESS = ("Fire", "Play", "Stop", "Emit", "Connect")  # methods that change nothing that a condition looks at
_FREEZES = 1e8  # rounds of a `for` that take more than a second, however little each one does


def endless_loop(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop that never yields and goes on for ever, or waits for what cannot change before it yields.

    Bad:
        while true do
            workspace.Name = "a"
        end
    Bad:
        local Players = game:GetService("Players")
        repeat
            print("waiting")
        until #Players:GetPlayers() > 1
    Bad:
        local running = true
        workspace.ChildRemoved:Connect(function()
            running = false
        end)
        while running do
            workspace.Gravity += 1
        end
    Bad:
        local count = 0
        while count < 10 do
            print(count)
        end
    Good:
        while true do
            workspace.Name = "a"
            task.wait(1)
        end
    Good:
        local Players = game:GetService("Players")
        repeat
            Players.PlayerAdded:Wait()
        until #Players:GetPlayers() > 1
    Good:
        local count = 0
        while count < 10 do
            count += 1
            print(count)
        end
    """
    for loop in tree.of("while_statement", "repeat_statement"):
        reached = _reached(loop)
        if reached is not None and not _can_end(loop, reached):
            if flow.runs_forever(loop):
                yield loop, "this loop never yields: add task.wait() or connect to an event instead"
            else:
                yield loop, "this loop does not change what it waits for: add task.wait(), or change it in the loop"
    for loop in tree.of("for_statement"):
        if _rounds(loop) >= _FREEZES and not any(flow.leaves(loop)) and _reached(loop) is not None:
            yield loop, "this loop has too many rounds to run without a pause: add task.wait()"


def wait_as_condition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop whose condition is a call of ``wait``, which is true only because it happens to give back a number.

    Bad:
        while wait(1) do
            workspace.Gravity += 1
        end
    Good:
        while true do
            task.wait(1)
            workspace.Gravity += 1
        end
    """
    for call in tree.calls(*_WAITS):
        if call.field == "condition" and call.parent.type == "while_statement":
            yield call, f"write `while true do` and call {callee(call)} inside the loop"


class _Part(NamedTuple):
    """What a loop or function does by itself: whether it may yield, the functions that it calls, what it sets."""

    may_yield: bool
    functions: list[Node]
    calls: list[Node]
    targets: list[Node]


def _reached(loop: Node) -> list[_Part] | None:
    """What a loop does, own functions that it calls included; None if something in it may yield."""
    parts, pending, seen = [], [loop], {loop}
    while pending:
        part = _part(pending.pop())
        if part.may_yield:
            return None
        parts.append(part)
        new = [function for function in part.functions if function not in seen]
        seen.update(new)
        pending += new
    return parts


def _part(body: Node) -> _Part:
    known = _parts(body.tree)
    if body not in known:
        known[body] = _examine(body)
    return known[body]


@fact
def _parts(tree: Tree) -> dict[Node, _Part]:
    return {}


def _examine(body: Node) -> _Part:
    part = _Part(False, [], [], [])
    for node in flow.own_nodes(body):
        if node.type in ("assignment_statement", "update_statement") and node.parent.type != "variable_declaration":
            part.targets.extend(targets_and_values(node)[0])
        elif node.type == "function_call":
            functions = _called(node)
            if functions is None:
                return _Part(True, [], [], [])
            part.functions.extend(functions)
            if not functions:
                part.calls.append(node)
    return part


def _called(call: Node) -> list[Node] | None:
    """The own functions that a call runs, none if it is known to run no other; None if it may yield."""
    name, called, written = call.get("name"), method(call), callee(call)
    if name is None or written in _YIELDING or called in _YIELDING or called in _yielding_methods():
        return None
    if written in ("pcall", "xpcall"):
        function = _own_function(arguments(call)[0]) if arguments(call) else None
        return [function] if function is not None else None
    function = _own_function(name)
    if function is not None:
        return [function]
    if called is not None:
        return [] if called in _methods() else None
    root = root_name(name)
    is_library = root is not None and root not in resolve(call.tree).of and _is_known(root.text)
    return [] if is_library and name.type in ("identifier", "dot_index_expression") else None


def _own_function(expression: Node) -> Node | None:
    """The function of this script that an expression stands for, found by its name if it is a method."""
    expression = strip(expression)
    if expression.type == "function_definition":
        return expression
    functions = _functions(expression.tree)
    if expression.type != "identifier":
        return functions.get(last_name(expression))
    variable = resolve(expression.tree).of.get(expression)
    if variable is None:
        return functions.get(expression.text)
    value = variable.value
    return value if value is not None and value.type in FUNCTIONS and not variable.writes else None


@fact
def _functions(tree: Tree) -> dict[str, Node]:
    """The global functions and those of tables, by the last part of their names."""
    return {
        last_name(function.get("name")): function
        for function in tree.of("function_declaration")
        if function.field != "local_declaration"
    }


@cache
def _yielding_methods() -> frozenset[str]:
    members = (entry["members"].items() for entry in database().classes.values())
    return frozenset(name for items in members for name, entry in items if entry.get("yields"))


@cache
def _methods() -> frozenset[str]:
    api = database()
    owners = (*api.classes.values(), *api.datatypes.values())
    members = [*(owner.get("members", {}) for owner in owners), api.libraries["string"]["members"]]
    entries = [item for each in members for item in each.items()]
    return frozenset(name for name, entry in entries if entry["kind"] in ("method", "function"))


def _is_known(name: str) -> bool:
    return name in database().globals or database().has_statics(name)


def _rounds(loop: Node) -> float:
    """How often a ``for`` with literal bounds runs, its step left aside; 0 if that is not written."""
    clause = loop.get("clause")
    if clause is None or clause.type != "for_numeric_clause":
        return 0
    last = clause.get("end")
    if last is None or last.type not in ("number", "dot_index_expression") or clause.get("step") is not None:
        return 0
    if last.text == "math.huge":
        return float("inf")
    try:
        return float(last.text.replace("_", "")) if last.type == "number" else 0
    except ValueError:
        return 0


def _can_end(loop: Node, reached: list[_Part]) -> bool:
    """Whether a loop that does not yield can end, the first round apart, in which anything may be so already."""
    condition = loop.get("condition")
    conditions = [condition] if flow.constant(condition) is None else []
    if condition is None or not (conditions or flow.runs_forever(loop)):
        return True
    if any(callee(call) == "assert" for part in reached for call in part.calls):
        return True
    if any(callee(call) == "error" for part in reached[1:] for call in part.calls):
        return True
    for leaf in flow.leaves(loop):
        guards = _guards(leaf, loop)
        if guards is None:
            return True
        conditions += guards
    return bool(conditions) and any(map(_State(loop, reached).may_change, conditions))


def _guards(leaf: Node, loop: Node) -> list[Node] | None:
    """The conditions that decide whether ``leaf`` is reached; None if it always is, or by steps of another loop."""
    found: list[Node] = []
    for above in leaf.ancestors():
        if above is loop:
            break
        if above.type in LOOPS:
            return None
        if above.type == "if_statement":
            found += [condition for condition, _ in flow.branches(above) if condition is not None]
    return found or None


class _State:
    """What a loop that does not yield can change by itself."""

    def __init__(self, loop: Node, reached: list[_Part]) -> None:
        self.loop, self.scopes = loop, resolve(loop.tree)
        targets = [target for part in reached for target in part.targets]
        self.written = {self.scopes.of[target] for target in targets if target in self.scopes.of}
        self.names = {last_name(target) for target in targets if target.type != "identifier"}
        self.globals = {target.text for target in targets if target.type == "identifier"}
        calls = (call for part in reached for call in part.calls)
        self.calls = any(not is_silent(call, callee(call)) and not _is_harmless(call) for call in calls)
        self.is_idle = not targets and not self.calls
        self.settled: set[Variable] = set()  # variables that the search for what the loop sets has gone through

    def may_change(self, condition: Node) -> bool:
        """Whether ``condition`` may turn out otherwise in a later round."""
        pending, seen = [condition], set()
        while pending:
            for node in pending.pop().walk():
                if node.type == "identifier" and not _is_member_name(node):
                    variable = self.scopes.of.get(node)
                    if variable is None:
                        if node.text in self.globals:
                            return True
                    elif variable not in seen:
                        seen.add(variable)
                        values = self._values(variable)
                        if values is None:
                            return True
                        pending += values
                elif self._may_change(node):
                    return True
        return False

    def _values(self, variable: Variable) -> list[Node] | None:
        """The expressions that a variable gets its values from in each round; None if they may be others each time."""
        start, end = self.loop.start, self.loop.end
        if self.calls and any(function_of(write) is not function_of(self.loop) for write in variable.writes):
            return None
        if variable not in self.written:
            if not start <= variable.node.start < end or variable.kind == "parameter":
                return []
            return [variable.value] if variable.value is not None and variable.kind == "local" else None
        if len(variable.writes) > 1:
            return None  # which of several values it is may depend on anything
        statement = variable.writes[0].parent.parent
        if statement.type != "assignment_statement":
            return None
        targets, values = targets_and_values(statement)
        at = targets.index(variable.writes[0])
        # A plain value is there after the first round, a test may come out the same each time.
        is_same = at < len(values) and _is_test(values[at]) and not self._builds_on_written(values[at])
        return [values[at]] if is_same else None

    def _builds_on_written(self, value: Node) -> bool:
        """Whether a value is made from variables that the loop sets, be it by way of locals in its body."""
        pending = [value]
        while pending:
            for node in pending.pop().walk():
                variable = self.scopes.of.get(node)
                if variable is None or variable in self.settled:
                    continue
                self.settled.add(variable)
                if variable in self.written:
                    return True
                if variable.kind == "local" and self.loop.start <= variable.node.start < self.loop.end:
                    if variable.value is None:
                        return True  # one of several results of a call
                    pending.append(variable.value)
        return False

    def _may_change(self, node: Node) -> bool:
        match node.type:
            case "dot_index_expression":
                return self.calls or last_name(node) in self.names
            case "bracket_index_expression":
                return self.calls or bool(self.names)
            case "unary_expression":
                return node.operator == "#" and (self.calls or bool(self.names))
            case "function_call":
                if (method(node) or "").startswith(_GETTERS):
                    return self.calls or bool(self.names)
                if callee(node) in _TIMES:
                    return not self.is_idle  # doing something for a while is work, doing nothing blocks all threads
                return callee(node) not in ("type", "typeof", "tostring", "tonumber")
            case "function_definition" | "vararg_expression":
                return True
        return False


def _is_test(value: Node) -> bool:
    """Whether a value is the result of a call or comparison, which may be nil or false for a long time."""
    return any(node.type in ("function_call", "binary_expression") for node in value.walk())


def _is_member_name(node: Node) -> bool:
    parent = node.parent
    return parent.type in ("dot_index_expression", "method_index_expression") and node.field != "table"


def _is_harmless(call: Node) -> bool:
    return (method(call) or "").startswith(_HARMLESS)
