"""Connections: made again and again, never ended, given a result instead of a function."""

from collections.abc import Iterator

from luau_rft.luau.flow import branches, ending, leaves, own_nodes, runs_forever
from luau_rft.luau.functions import own_calls, returned, returns
from luau_rft.luau.scopes import function_of, loop_names, resolve
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, arguments, callee, fact, method, root_name, strip
from luau_rft.roblox.infer import infer
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.variables import has_gaps

_CONNECTING = ("Connect", "connect", "ConnectParallel")  # Once ends by itself
_ONCE = frozenset({"Loaded", "Died", "Destroying", "Completed", "Ended", "Close", "AncestryChanged", "Once"})
_TAKES_FUNCTION = frozenset(
    {
        "pcall", "xpcall", "spawn", "task.spawn", "task.defer", "delay", "task.delay", "coroutine.wrap",
        "coroutine.create",
    }
)  # fmt: skip
_DELAYED = frozenset({"delay", "task.delay"})  # the function is their second argument


def connection_in_loop(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop connects to the same event in each round, so that the listeners pile up.

    Bad:
        local part = script.Parent
        while true do
            part.Touched:Connect(function()
                print("touched")
            end)
            task.wait(1)
        end
    Good:
        local part = script.Parent
        part.Touched:Connect(function()
            print("touched")
        end)
    Good:
        for _, part in script.Parent:GetChildren() do
            part.Touched:Connect(function()
                print("touched")
            end)
        end
    Bad:
        local Players = game:GetService("Players")
        while true do
            for _, player in Players:GetPlayers() do
                player.Chatted:Connect(print)
            end
            task.wait(5)
        end
    """
    if has_gaps(tree):
        return
    for call in tree.method_calls(*_CONNECTING):
        loop = _loop_of(call)
        if loop is None or _is_kept(call) or _leaves_loop(call, loop):
            continue
        looked_at = call.get("name") if loop.type != "for_statement" else call
        if not _varies(looked_at, loop) or _goes_round_players(call, loop):
            yield call, "each round of the loop connects once more: connect before the loop"


def connection_leak(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An event handler connects to something that outlives it each time it runs, and nobody can end the connection.

    Bad:
        local Players = game:GetService("Players")
        local RunService = game:GetService("RunService")
        Players.PlayerAdded:Connect(function(player)
            RunService.Heartbeat:Connect(function()
                player:SetAttribute("Time", os.clock())
            end)
        end)
    Good:
        local Players = game:GetService("Players")
        local RunService = game:GetService("RunService")
        local connections = {}
        Players.PlayerAdded:Connect(function(player)
            connections[player] = RunService.Heartbeat:Connect(function()
                player:SetAttribute("Time", os.clock())
            end)
        end)
        Players.PlayerRemoving:Connect(function(player)
            if connections[player] then
                connections[player]:Disconnect()
                connections[player] = nil
            end
        end)
    Good:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            player.CharacterAdded:Connect(function(character)
                character:SetAttribute("Owner", player.Name)
            end)
        end)
    """
    if has_gaps(tree):
        return
    returns_at: dict[Node, float] = {}  # by block: where the rest of it is left to the first run
    for call in tree.method_calls(*_CONNECTING):
        handler = function_of(call)
        if handler not in _repeated(tree) or _is_kept(call) or _is_guarded(call, handler, returns_at):
            continue
        if _outlives(call.get("name").get("table")):
            yield call, "this connects once more each time: keep the connection and Disconnect it, or connect outside"


def called_handler(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function that gives nothing back is called where the function itself should be passed on.

    Bad:
        local function onTouched()
            print("touched")
        end
        script.Parent.Touched:Connect(onTouched())
    Bad:
        task.delay(5, print("later"))
    Good:
        local function onTouched()
            print("touched")
        end
        script.Parent.Touched:Connect(onTouched)
    Good:
        task.delay(5, print, "later")
    """
    calls = tree.method_calls(*_CONNECTING, "Once") + tree.calls(*sorted(_TAKES_FUNCTION))
    gives = {call.node: call.function for call in own_calls(tree)} if calls else {}
    for call in calls:
        at = 1 if callee(call) in _DELAYED else 0
        given = strip(arguments(call)[at]) if len(arguments(call)) > at else None
        if given is None or given.type != "function_call":
            continue
        function = gives.get(given)
        is_own = function is not None and not any(map(returned, returns(tree).get(function, ())))
        if is_own or callee(given) in _GIVING_NOTHING:
            name = given.get("name").text
            yield given, f"this calls `{name}` at once and passes on nothing: write `{name}` without parentheses"


_GIVING_NOTHING = frozenset({"print", "warn", "error"})


def _loop_of(call: Node) -> Node | None:
    """The innermost loop around a call in the same function."""
    for above in call.ancestors():
        if above.type in FUNCTIONS:
            return None
        if above.type in LOOPS:
            return above
    return None


def _goes_round_players(call: Node, loop: Node) -> bool:
    """Whether ``loop`` connects to an event of each player, who stays, in each round of an endless loop."""
    clause, event = loop.get("clause"), call.get("name").get("table")
    if loop.type != "for_statement" or clause is None or event.type != "dot_index_expression":
        return False
    if call.parent is not loop.get("body") or loop.parent is None or loop.parent.parent is None:
        return False
    outer = loop.parent.parent
    if outer.type not in ("while_statement", "repeat_statement") or not runs_forever(outer) or any(leaves(outer)):
        return False
    scopes = resolve(call.tree)
    owner = scopes.of.get(event.get("table"))
    is_own = owner is not None and owner.node in loop_names(loop)
    return is_own and any(method(value) == "GetPlayers" for part in clause.children for value in part.walk())


def _is_kept(call: Node) -> bool:
    """Whether the connection goes anywhere from where it may be ended."""
    if call.is_statement:
        return False
    if call.parent.type == "expression_list" and call.parent.parent.type == "assignment_statement":
        statement = call.parent.parent
        if statement.parent.type == "variable_declaration":
            scopes = resolve(call.tree)
            names = [node for part in statement.children if part.type == "variable_list" for node in part.all("name")]
            return any(scopes.of[name].reads for name in names if name in scopes.of)
    return True


def _leaves_loop(call: Node, loop: Node) -> bool:
    """Whether the loop ends after the call."""
    ends = ending(call.tree)
    for above in call.ancestors():
        if above is loop:
            return False
        if above in ends:
            return True
    return False


def _varies(part: Node, loop: Node) -> bool:
    """Whether anything in ``part`` is declared or set in the loop."""
    scopes = resolve(part.tree)
    for node in part.walk():
        variable = scopes.of.get(node)
        if variable is None:
            continue
        places = [variable.node, *variable.writes]
        own = [place for place in places if not part.start <= place.start < part.end]
        if any(loop.start <= place.start < loop.end for place in own):
            return True
    return False


@fact
def _repeated(tree: Tree) -> frozenset[Node]:
    """The functions that are connected to an event which happens many times, and those that they call."""
    found: set[Node] = set()
    scopes = resolve(tree)
    for call in tree.method_calls(*_CONNECTING):
        event = call.get("name").get("table")
        given = strip(arguments(call)[0]) if arguments(call) else None
        name = event.get("field").text if event.type == "dot_index_expression" and event.get("field") else ""
        if given is None or name in _ONCE:
            continue
        variable = scopes.of.get(given)
        if variable is not None and variable.value is not None and not variable.writes:
            given = variable.value
        if given.type in FUNCTIONS:
            found.add(given)
    calls: dict[Node | None, list[Node]] = {}
    for own in own_calls(tree):
        calls.setdefault(function_of(own.node), []).append(own.function)
    pending = list(found)
    while pending:
        for function in calls.get(pending.pop(), ()):
            if function not in found:
                found.add(function)
                pending.append(function)
    return frozenset(found)


def _is_guarded(call: Node, handler: Node, returns_at: dict[Node, float]) -> bool:
    """Whether a condition, around the call or of a return before it, can see to it that this happens once."""
    for above in call.ancestors():
        if above is handler:
            break
        if above.type == "if_statement" and any(_remembers(condition, handler) for condition, _ in branches(above)):
            return True
        if above.type == "block":
            if above not in returns_at:
                returns_at[above] = _guarded_return(above, handler)
            if returns_at[above] < call.start:
                return True
    return False


def _guarded_return(block: Node, handler: Node) -> float:
    """Where the first return of a block stands that depends on what an earlier run has left."""
    for statement in block.children:
        conditions = [condition for condition, _ in branches(statement)] if statement.type == "if_statement" else []
        is_left = bool(conditions) and any(node.type == "return_statement" for node in own_nodes(statement))
        if is_left and any(_remembers(condition, handler) for condition in conditions):
            return statement.start
    return float("inf")


def _remembers(condition: Node | None, handler: Node) -> bool:
    """Whether a condition looks at what an earlier run of the handler may have left behind."""
    scopes = resolve(handler.tree)
    for node in condition.walk() if condition is not None else ():
        if node.type == "function_call" and method(node) in ("GetAttribute", "HasTag", "FindFirstChild"):
            return True
        variable = scopes.of.get(node)
        if variable is None or handler.start <= variable.node.start < handler.end:
            continue
        if variable.writes or variable.kind == "parameter" or variable.value is None:
            return True
        if strip(variable.value).type in ("table_constructor", "function_call"):
            return True
    return False


def _outlives(event: Node) -> bool:
    """Whether an event belongs to what is there from the start of the script, and always is the same."""
    root = root_name(event)
    if root is None or any(node.type == "bracket_index_expression" for node in event.walk()):
        return False
    variable = resolve(event.tree).of.get(root)
    if variable is None:
        return infer(event.tree).global_name(root) in ("workspace", "game")
    return not variable.writes and variable.kind == "local" and function_of(variable.node) is None
