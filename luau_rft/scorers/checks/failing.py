"""Calls that can fail or wait for ever, and what is done about it."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache

from luau_rft.luau import flow
from luau_rft.luau.scopes import Variable, function_of, parameter_names, resolve, targets_and_values
from luau_rft.luau.substance import statement_of
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
from luau_rft.roblox.api import Member, database
from luau_rft.roblox.infer import CONNECTING, infer
from luau_rft.scorers.base import Hit

_PCALLS = ("pcall", "xpcall", "ypcall")
_PROMISES = ("Promise.new", "Promise.try", "Promise.defer", "Promise.async")
_CHAINED = ("andThen", "catch", "finally")  # methods of a promise: an error in what they are given rejects it

_RARELY_FAILING = frozenset({"LoadCharacter", "LoadCharacterAsync", "loadCharacter", "WaitForDataReady"})
# Functions that run another one later, or beside what goes on, and so protect nothing.
_LATER = re.compile(r"[Ss]pawn|[Dd]elay|[Dd]efer|[Cc]onnect|[Bb]ind|Once|^[Oo]n[A-Z]")
# Names too common to tell anything where the receiver is not known.
_COMMON = frozenset({"GetAnimations", "GetCollection", "IsDisabled", "IsLegal", "SearchAudio"})
# Older teleports raise an error where teleporting is not possible; the definitions do not say so.
_TELEPORTS = frozenset({"Teleport", "TeleportPartyAsync", "TeleportToPlaceInstance", "TeleportToPrivateServer"})

_CONDITIONAL = frozenset({"if_statement", "elseif_statement", "if_expression", "elseif_clause", "while_statement"})
_COMPOUND = LOOPS | FUNCTIONS | {"do_statement", "if_statement"}
_MAX_USES = 50  # of a result; keeps hostile programs from taking quadratic time


def unprotected_call(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A call that asks a distant service, such as a data store, is made outside pcall.

    A pcall does not protect the handlers that are connected inside it, and one around a whole script handles nothing.

    Bad:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        local success, problem = pcall(function()
            game:GetService("Players").PlayerRemoving:Connect(function(player)
                store:SetAsync(player.UserId, player:GetAttribute("Coins"))
            end)
        end)
        if not success then
            warn(problem)
        end
    Bad:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        print(store:GetAsync("a"))
    Good:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        local success, coins = pcall(function()
            return store:GetAsync("a")
        end)
        if success then
            print(coins)
        end
    Good:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        local function try(action)
            local success, result = pcall(action)
            return if success then result else nil
        end
        print(try(function()
            return store:GetAsync("a")
        end))
    """
    calls = _failing_calls(tree)
    protected = _protected_functions(tree) if calls else frozenset()
    for call in calls:
        if not _is_protected(call, protected):
            yield call, f"{method(call)} fails when the service is down: call it inside pcall and handle the failure"


def ignored_pcall(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A pcall protects a call that can fail, and nobody looks whether it did.

    Bad:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        pcall(store.SetAsync, store, "a", 1)
    Good:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        local success, problem = pcall(store.SetAsync, store, "a", 1)
        if not success then
            warn(problem)
        end
    """
    for call in _risky_pcalls(tree):
        statement, success = _success(call)
        if statement is call and not _handles(call):
            yield call, "the result of this pcall is dropped: read `success` and handle the failure"
        elif success is not None and not success.reads:
            yield success.node, f"`{success.name}` is never read: a failure goes unnoticed"
        elif call.parent.type == "arguments" and callee(call.parent.parent) == "select" and not _handles(call):
            yield call, "select drops whether this pcall succeeded: read `success` and handle the failure"


def unchecked_result(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """What a pcall gave is used where it may be the error message: success was not asked for before.

    Bad:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        local success, coins = pcall(store.GetAsync, store, "a")
        script.Parent.Coins.Value = coins
        if not success then
            warn("not loaded")
        end
    Good:
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        local success, coins = pcall(store.GetAsync, store, "a")
        if not success then
            warn("not loaded")
            return
        end
        script.Parent.Coins.Value = coins
    """
    for call in tree.calls("pcall"):
        statement, success = _success(call)
        if success is None or not success.reads or success.writes or statement.type != "variable_declaration":
            continue
        results = [resolve(tree).of.get(name) for name in targets_and_values(statement)[0][1:]]
        for at, result in enumerate(results):
            if result is None or result.writes:
                continue
            # Further results are nil after a failure, so whoever asks for one of them knows.
            told = [success, *(other for other in results[1:] if other is not None and at == 0)]
            if (use := _unchecked_use(result, told, statement)) is not None:
                yield use, f"`{result.name}` is an error message if the pcall failed: ask `{success.name}` first"
            break


def empty_pcall(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A pcall or xpcall is given a function without code.

    Bad:
        pcall(function() end)
    Good:
        local done, problem = pcall(function()
            workspace.Door:Destroy()
        end)
        if not done then
            warn(problem)
        end
    """
    for call in tree.calls("pcall", "xpcall"):
        body = strip(arguments(call)[0]) if arguments(call) else None
        if body is not None and body.type == "function_definition" and body.get("body") is None:
            yield call, "this pcall holds no code"


def wait_in_loop(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """WaitForChild without a timeout is called in a loop: one missing child stops all the rest.

    A clone has all its children from the start.

    Bad:
        for _, name in { "Sword", "Shield" } do
            print(workspace:WaitForChild(name).Name)
        end
    Good:
        for _, name in { "Sword", "Shield" } do
            local item = workspace:WaitForChild(name, 5)
            if item then
                print(item.Name)
            end
        end
    """
    for call in tree.method_calls("WaitForChild"):
        if len(arguments(call)) == 1 and _in_loop(call) and not _is_on_clone(call) and _member(call) is not False:
            yield call, "without a timeout this waits for ever if the child is missing: pass one and check the result"


def _is_on_clone(call: Node) -> bool:
    """Whether the method is called on a clone that the script has made, or on something in it."""
    root = root_name(call.get("name"))
    variable = resolve(call.tree).of.get(root) if root is not None else None
    if variable is None:
        return False
    values = [variable.value] if variable.value is not None else []
    for write in variable.writes[:9]:
        if write.parent.type == "variable_list":
            values += targets_and_values(write.parent.parent)[1]
    return any(method(strip(value)) == "Clone" for value in values)


# Calls that can fail


@cache
def _failing_methods() -> frozenset[str]:
    """The names of methods that ask a distant service."""
    members = (entry["members"].items() for entry in database().classes.values())
    names = {name for items in members for name, entry in items if entry.get("fails")}
    return frozenset(names | _TELEPORTS) - _RARELY_FAILING


@fact
def _failing_calls(tree: Tree) -> tuple[Node, ...]:
    """The calls that can fail any time, in the order of the text."""
    calls = tree.method_calls(*_failing_methods())
    return tuple(sorted((call for call in calls if _can_fail(call.get("name"))), key=lambda call: call.start))


def _can_fail(index: Node) -> bool:
    """Whether a method, called or named as in ``pcall(store.GetAsync, store, key)``, can fail any time."""
    name, owner = last_name(index), index.get("table")
    if name not in _failing_methods() or owner is None:
        return False
    inference = infer(index.tree)
    member = inference.member_of(index)
    if member is not None:
        return _fails(member)
    receiver = inference.type_of(owner)
    if receiver is not None:
        return any(_fails(member) for member in database().below(receiver.owner, name))
    return name not in _COMMON and not _is_own(owner) and not _is_declared(index.tree, name)


def _fails(member: Member) -> bool:
    return member.fails or member.name in _TELEPORTS


def _member(call: Node) -> bool | None:
    """Whether the method that is called is the platform's: None where the receiver is not known."""
    owner = call.get("name").get("table")
    if owner is None or infer(call.tree).member_of(call.get("name")) is not None:
        return True
    return False if _is_own(owner) or _is_declared(call.tree, method(call) or "") else None


def _is_own(owner: Node) -> bool:
    """Whether a receiver comes from a module or a table of the script's own, which may use these names as it likes."""
    scopes, seen = resolve(owner.tree), set()
    node: Node | None = owner
    while node is not None:
        root = root_name(node)
        variable = scopes.of.get(root) if root is not None else None
        if variable is None or variable in seen or variable.value is None:
            return False
        seen.add(variable)
        node = strip(variable.value)
        if node.type == "table_constructor" or callee(node) in ("require", "setmetatable"):
            return True
        if node.type in FUNCTIONS:
            return False
    return False


def _is_declared(tree: Tree, name: str) -> bool:
    """Whether the script declares a method of that name itself."""
    return name in _functions(tree)


# Functions that run inside a pcall


@fact
def _functions(tree: Tree) -> dict[str, list[Node]]:
    """The functions by the last part of the name that they are declared or assigned by."""
    found: dict[str, list[Node]] = {}
    for function in tree.of("function_declaration", "function_definition"):
        for name in _names(function):
            found.setdefault(name, []).append(function)
    return found


def _names(function: Node) -> list[str]:
    if function.type == "function_declaration":
        return [last_name(function.get("name"))]
    parent = function.parent
    if parent.type == "field" and parent.get("name") is not None:
        return [parent.get("name").text]
    if parent.type == "expression_list" and parent.parent.type == "assignment_statement":
        targets, values = targets_and_values(parent.parent)
        return [last_name(target) for target, value in zip(targets, values, strict=False) if value is function]
    return []


@fact
def _protected_functions(tree: Tree) -> frozenset[Node]:
    """The functions that run inside a pcall: given to it, or called by one that is."""
    scopes, functions = resolve(tree), _functions(tree)
    protected: set[Node] = set()
    parameters: set[Variable] = set()
    pending = list(_given_to_pcall(tree))
    while pending:
        node = strip(pending.pop())
        variable = scopes.of.get(node)
        if variable is not None and variable.kind == "parameter" and variable not in parameters:
            parameters.add(variable)
            pending += _given(variable)
        for function in [node] if node.type in FUNCTIONS else functions.get(last_name(node), []):
            if function not in protected:
                protected.add(function)
                pending += [call.get("name") for call in flow.own_nodes(function) if call.type == "function_call"]
    return frozenset(protected)


def _is_protected(call: Node, protected: frozenset[Node]) -> bool:
    for above in call.ancestors():
        if above in protected:
            return True
        if above.type in FUNCTIONS and _runs_later(above):
            return False
    return False


def _runs_later(function: Node) -> bool:
    """Whether a function is handed to one that runs it beside or after what goes on."""
    name = function.get("name")
    variable = resolve(function.tree).of.get(name) if name is not None else None
    places = variable.reads if variable is not None else [function]
    return any(
        place.parent.type == "arguments" and _LATER.search(last_name(place.parent.parent.get("name")))
        for place in places
    )


def _connects(function: Node) -> bool:
    """Whether a function connects handlers: it is a script of its own rather than one step that may fail."""
    return any(node.type == "function_call" and method(node) in CONNECTING for node in flow.own_nodes(function))


def _given_to_pcall(tree: Tree) -> Iterator[Node]:
    for call in tree.calls(*_PCALLS):
        yield from (given for given in arguments(call)[:1] if given.type not in FUNCTIONS or not _connects(given))
    for call in [*tree.calls(*_PROMISES), *tree.method_calls(*_CHAINED)]:
        yield from arguments(call)
    scopes = resolve(tree)
    for name in scopes.global_reads:
        if name.parent.type == "arguments" and name.text in _PCALLS:  # task.spawn(pcall, f)
            given = name.parent.children
            yield from given[given.index(name) + 1 :][:1]
    for function in tree.of("function_definition"):
        # What a module does with a function is not known.
        if function.parent.type == "arguments" and _is_modules(function.parent.parent):
            yield function


def _is_modules(call: Node) -> bool:
    """Whether a call is one of a function of a required module."""
    root = root_name(call)
    variable = resolve(call.tree).of.get(root) if root is not None else None
    if variable is None or variable.value is None or callee(strip(variable.value)) != "require":
        return False
    return _LATER.search(last_name(call.get("name"))) is None


def _given(parameter: Variable) -> Iterator[Node]:
    """What the calls of a function give for one of its parameters."""
    function = function_of(parameter.node)
    names = parameter_names(function.get("parameters")) if function is not None and function.get("parameters") else []
    if parameter.node not in names:
        return
    at = names.index(parameter.node)
    called = set(_names(function))
    for call in function.tree.of("function_call") if called else ():
        if last_name(call.get("name")) in called:
            yield from arguments(call)[at : at + 1]


# What becomes of the result of a pcall


@fact
def _risky_pcalls(tree: Tree) -> tuple[Node, ...]:
    """The pcalls around a call that can fail any time, or around a function of the script's that makes one."""
    pcalls = [call for call in tree.calls(*_PCALLS) if arguments(call)]
    if not pcalls:
        return ()
    places = _failing_places(tree)
    found = []
    for call in pcalls:
        first = strip(arguments(call)[0])
        at = bisect_left(places, call.start)
        inside = at < len(places) and places[at] < call.end
        if inside or (first.type == "dot_index_expression" and _can_fail(first)):
            found.append(call)
    return tuple(found)


def _failing_places(tree: Tree) -> list[int]:
    """Where calls that can fail start, and the names of local functions that make one without protecting it."""
    scopes = resolve(tree)
    places: set[int] = set()
    pending = list(_failing_calls(tree))
    done: set[Node] = set()
    while pending:
        node = pending.pop()
        places.add(node.start)
        function = function_of(node)
        name = function.get("name") if function is not None else None
        if function is None or function in done:
            continue
        done.add(function)
        variable = scopes.of.get(name) if name is not None else None
        pending += variable.reads if variable is not None else []
    return sorted(places)


def _success(call: Node) -> tuple[Node | None, Variable | None]:
    """The statement of a pcall, and the local that gets whether it succeeded."""
    statement = statement_of(call)
    if statement is None or statement.type not in ("variable_declaration", "assignment_statement"):
        return statement, None
    names, values = targets_and_values(statement)
    is_first = bool(names) and bool(values) and strip(values[0]) is call
    return statement, resolve(call.tree).of.get(names[0]) if is_first else None


def _handles(call: Node) -> bool:
    """Whether an xpcall is given a handler that does more than to describe the error."""
    if callee(call) != "xpcall" or len(arguments(call)) < 2:
        return False
    handler = strip(arguments(call)[1])
    if handler.type == "function_definition":
        body = handler.get("body")
        return body is not None and any(child.type != "return_statement" for child in body.children)
    return handler.text not in ("debug.traceback", "tostring")


def _unchecked_use(result: Variable, told: list[Variable], statement: Node) -> Node | None:
    """The first use of a result that no question about success comes around or along with, nor settles before."""
    asked = [read for variable in told for read in variable.reads]
    asked += [read for success in told for alias in _told_by(success) for read in alias.reads]
    starts = sorted(read.start for read in asked)
    for use in sorted(result.reads, key=lambda read: read.start)[:_MAX_USES]:
        if not _is_test(use) and not _is_asked(use, starts) and not _is_settled(use, statement, starts):
            return use
    return None


def _is_asked(use: Node, asked: list[int]) -> bool:
    """Whether the same simple statement, or a condition around it, asks for success: ``return success, data``."""
    node = use
    while not node.is_statement and node.parent is not None:
        node = node.parent
    if node.type not in _COMPOUND and _within(node, asked):
        return True
    for above in use.ancestors():
        condition = above.get("condition") if above.type in _CONDITIONAL else None
        if condition is not None and _within(condition, asked):
            return True
        if above.type == "binary_expression" and above.operator in ("and", "or") and _within(above, asked):
            return True
    return False


def _is_settled(use: Node, since: Node, asked: list[int]) -> bool:
    """Whether a statement between asks for success and does not go on in each case: it leaves, or stops on failure."""
    node = use
    for above in use.ancestors():
        if above.type in ("block", "chunk", "ERROR"):
            for statement in above.children:
                if since.end <= statement.start and statement.end <= node.start and _within(statement, asked):
                    if statement.type != "if_statement":
                        return True
                    if any(body is not None and _leaves(body) for _, body in flow.branches(statement)):
                        return True
        if above is since.parent:
            return False
        node = above
    return False


def _leaves(body: Node) -> bool:
    """Whether a branch can end what it is part of."""
    return any(node in flow.ending(body.tree) for node in flow.own_nodes(body) if node.is_statement)


def _within(node: Node, starts: list[int]) -> bool:
    at = bisect_left(starts, node.start)
    return at < len(starts) and starts[at] < node.end


def _told_by(success: Variable) -> Iterator[Variable]:
    """The locals whose value says something of success: ``local loaded = success and data ~= nil``."""
    scopes = resolve(success.node.tree)
    for read in success.reads:
        statement = statement_of(read)
        if statement is not None and statement.type == "variable_declaration":
            yield from (scopes.of[name] for name in targets_and_values(statement)[0] if name in scopes.of)


def _is_test(use: Node) -> bool:
    """Whether a value is only asked for or copied: ``if data``, ``data == nil``, ``local loaded = data``."""
    if use.parent.type == "expression_list" and use.parent.parent.type == "assignment_statement":
        return all(target.type == "identifier" for target in targets_and_values(use.parent.parent)[0])
    return use.field == "condition" or use.parent.operator in ("==", "~=", "not", "and")


def _in_loop(call: Node) -> bool:
    """Whether a call runs again with each turn of a loop."""
    node = call
    for above in call.ancestors():
        if above.type in FUNCTIONS:
            return False
        if above.type in LOOPS and node.field != "clause":
            return True
        node = above
    return False
