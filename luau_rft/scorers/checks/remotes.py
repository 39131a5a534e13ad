"""What clients send: a server that trusts it lets every cheater have his way."""

from collections.abc import Iterator
from itertools import islice

from luau_rft.luau.functions import own_calls
from luau_rft.luau.scopes import Variable, parameter_names, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, last_name, method, strip
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import CONNECTING, infer
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.variables import has_gaps

_COMPARISONS = frozenset({"==", "~=", "<", ">", "<=", ">="})
_CONVERSIONS = frozenset(
    {"tonumber", "tostring", "math.floor", "math.ceil", "math.round", "math.abs", "Vector3.new", "CFrame.new"}
)
_CLASS_TESTS = frozenset({"IsA", "IsDescendantOf", "IsAncestorOf", "HasTag", "GetAttribute"})
# Properties with which a client that sets them as it likes can cheat.
_SENSITIVE = frozenset(
    {
        "Value", "Health", "MaxHealth", "WalkSpeed", "JumpPower", "JumpHeight", "Position", "CFrame", "Parent", "Size",
        "AssemblyLinearVelocity", "Velocity", "Team", "Source",
    }
)  # fmt: skip
_HARMFUL_METHODS = frozenset(
    {"Destroy", "Remove", "ClearAllChildren", "BreakJoints", "TakeDamage", "Kick", "LoadCharacter", "PivotTo", "MoveTo"}
)
_SINKS = frozenset(
    {
        "TakeDamage", "SetAsync", "UpdateAsync", "IncrementAsync", "PivotTo", "SetPrimaryPartCFrame", "AwardBadge",
        "BanAsync", "TeleportAsync",
    }
)  # fmt: skip
_LOADING = frozenset({"loadstring", "require", "Instance.new"})


def untrusted_argument(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A handler of a RemoteEvent or RemoteFunction uses what the client sent without having looked at it.

    A test of the argument before its use, of its type, its value or by a look-up in a table, is taken for a check.

    Bad:
        local buy = game:GetService("ReplicatedStorage"):WaitForChild("AddCoins")
        buy.OnServerEvent:Connect(function(player, amount)
            player.leaderstats.Coins.Value += amount
        end)
    Bad:
        local hit = game:GetService("ReplicatedStorage"):WaitForChild("Hit")
        local function onHit(player, target, damage)
            target.Humanoid:TakeDamage(damage)
        end
        hit.OnServerEvent:Connect(onHit)
    Good:
        local REWARDS = { Chest = 10, Quest = 50 }
        local claim = game:GetService("ReplicatedStorage"):WaitForChild("Claim")
        claim.OnServerEvent:Connect(function(player, name)
            local reward = REWARDS[name]
            if reward then
                player.leaderstats.Coins.Value += reward
            end
        end)
    Good:
        local rename = game:GetService("ReplicatedStorage"):WaitForChild("Rename")
        rename.OnServerEvent:Connect(function(player, name)
            if type(name) ~= "string" or #name > 20 then
                return
            end
            player.Data.PetName.Value = name
        end)
    """
    if has_gaps(tree):
        return
    handlers = list(_handlers(tree))
    if not handlers:
        return
    scopes = resolve(tree)
    own = {call.node: (call.function, call.shift) for call in own_calls(tree)}
    pending = [scopes.of[name] for handler in handlers for name in _parameters(handler)[1:] if name in scopes.of]
    seen = set(pending)
    while pending:
        variable = pending.pop()
        for read in variable.reads:  # in the order of the text
            verdict, at, further = _use(read, own)
            if verdict == _CHECKED:
                break
            if verdict is not None:
                yield at, f"`{variable.name}` comes from the client: check its type and value before {verdict}"
                break
            found = scopes.of.get(further) if further is not None else None
            if found is not None and found not in seen:
                seen.add(found)
                pending.append(found)


def negative_amount(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """What the client sent is taken from a balance, and only its upper end was tested: a negative amount gives.

    A comparison with anything but the balance itself, and any call that is given the amount, is taken for a check.

    Bad:
        local buy = game:GetService("ReplicatedStorage"):WaitForChild("Buy")
        buy.OnServerEvent:Connect(function(player, price)
            local coins = player.leaderstats.Coins
            if coins.Value >= price then
                coins.Value -= price
            end
        end)
    Good:
        local buy = game:GetService("ReplicatedStorage"):WaitForChild("Buy")
        buy.OnServerEvent:Connect(function(player, price)
            local coins = player.leaderstats.Coins
            if type(price) == "number" and price > 0 and coins.Value >= price then
                coins.Value -= price
            end
        end)
    """
    if has_gaps(tree):
        return
    scopes = resolve(tree)
    own = {}
    seen: set[Variable] = set()
    for handler in _handlers(tree):
        own = own or {call.node: (call.function, call.shift) for call in own_calls(tree)}
        for name in _parameters(handler)[1:]:
            spends = _spends(scopes.of[name], own, seen) if name in scopes.of else []
            for place, amount, is_tested in spends:
                if is_tested:
                    yield place, f"`{amount}` comes from the client and may be negative: check that it is above 0 too"
                    break


def _spends(sent: Variable, own: dict[Node, tuple[Node, int]], seen: set[Variable]) -> list[tuple[Node, str, bool]]:
    """Where a balance is lowered by a client's value, its name there, and whether the balance was compared with it.

    Nothing if any use of the value may be a check that it is not negative.
    """
    scopes, found = resolve(sent.node.tree), []
    pending = [sent]
    while pending:
        variable = pending.pop()
        compared: set[str] = set()
        spent: list[tuple[Node, str]] = []
        for read in variable.reads:
            use, node, further = _reckoning(read, own)
            if use == "compared" and further is not None:
                compared.add(_balance(further))
            elif use == "spent" and further is not None:
                spent.append((node, _balance(further)))
            elif use == "passed" and further is not None:
                heir = scopes.of.get(further)
                if heir is None or heir.writes:
                    return []
                if heir not in seen:
                    seen.add(heir)
                    pending.append(heir)
            elif use != "harmless":
                return []
        if variable.writes or compared - {balance for _, balance in spent}:
            return []
        found += [(node, variable.name, balance in compared) for node, balance in spent]
    return found


def _reckoning(read: Node, own: dict[Node, tuple[Node, int]]) -> tuple[str, Node, Node | None]:
    """How a client's value is reckoned with at ``read``: compared with or spent from a balance, passed on, or harmless.

    Also where that is, and the balance or the variable that gets the value. Whatever else it may be is "checked".
    """
    node, is_scaled = read, False
    for parent in islice(read.ancestors(), _MAX_DEPTH):
        other = next((side for side in parent.children if side is not node), None)
        match parent.type:
            case "parenthesized_expression" | "cast_expression":
                pass
            case "binary_expression" if parent.operator in ("<", ">", "<=", ">=") and other is not None:
                return "compared", parent, other
            case "binary_expression" if parent.operator == "-" and node.field == "right":
                return ("spent", parent, other) if _sets_balance(parent, other) else (_CHECKED, parent, None)
            case "binary_expression" if parent.operator in ("+", "*", "/"):
                is_scaled = True
            case "binary_expression" if parent.operator in ("and", "or"):
                return "harmless", parent, None
            case "unary_expression" if parent.operator == "not":
                return "harmless", parent, None
            case "arguments":
                call = parent.parent
                if callee(call) in _TYPE_TESTS:
                    return "harmless", call, None
                if callee(call) not in _ROUNDINGS:
                    further = _parameter(node, call, own)
                    return ("passed" if further is not None else _CHECKED), call, further
            case "function_call":
                pass
            case "expression_list":
                statement = parent.parent
                if statement.type == "update_statement" and statement.operator == "-=":
                    return "spent", statement, targets_and_values(statement)[0][0]
                if statement.type == "update_statement":
                    return "harmless", statement, None
                _, _, further = _assigned(node, statement, is_scaled)
                return ("passed" if further is not None else _CHECKED), statement, further
            case "if_statement" | "elseif_statement":
                return ("harmless" if node.field == "condition" else _CHECKED), parent, None
            case _:
                return _CHECKED, parent, None
        node = parent
    return _CHECKED, read, None


def _sets_balance(difference: Node, balance: Node | None) -> bool:
    """Whether ``balance - x`` becomes the balance: by an assignment to it, or as the value of an attribute."""
    parts = difference.parent
    if parts is None or balance is None:
        return False
    if parts.type == "arguments":
        return method(parts.parent) == "SetAttribute"
    statement = parts.parent
    if parts.type != "expression_list" or statement.type != "assignment_statement":
        return False
    targets, values = targets_and_values(statement)
    at = values.index(difference)
    return at < len(targets) and _balance(targets[at]) == _balance(balance)


def _balance(node: Node) -> str:
    """What tells a balance from others: its text, or that of the value of the local that stands for it."""
    node = strip(node)
    variable = resolve(node.tree).of.get(node)
    if variable is not None and variable.value is not None and not variable.writes:
        node = strip(variable.value)
    return "".join(node.text.split()) if node.end - node.start <= 200 else ""


_CHECKED = "checked"
_TYPE_TESTS = frozenset({"type", "typeof", "print", "warn", "tostring"})
_MAX_DEPTH = 40  # of a value in an expression; keeps hostile programs from taking quadratic time
_ROUNDINGS = frozenset({"tonumber", "math.floor", "math.ceil", "math.round"})


def _handlers(tree: Tree) -> Iterator[Node]:
    """The functions that handle what clients send."""
    values: list[Node] = []
    for call in tree.method_calls(*sorted(CONNECTING)):
        if last_name(call.get("name").get("table")) == "OnServerEvent":
            values += arguments(call)[:1]
    for statement in tree.of("assignment_statement"):
        pairs = zip(*targets_and_values(statement), strict=False)
        values += [value for target, value in pairs if last_name(target) == "OnServerInvoke"]
    for function in tree.of("function_declaration"):
        if last_name(function.get("name")) == "OnServerInvoke":
            yield function
    for value in map(strip, values):
        variable = resolve(tree).of.get(value)
        function = variable.value if variable is not None and not variable.writes else value
        if function is not None and function.type in FUNCTIONS:
            yield function


def _parameters(function: Node) -> list[Node]:
    found = function.get("parameters")
    return parameter_names(found) if found is not None else []


def _use(read: Node, own: dict[Node, tuple[Node, int]]) -> tuple[str | None, Node, Node | None]:
    """What is done with a client's value at ``read``: tested, or what must not be done untested, or nothing known.

    Also where that is, and the variable by which the value goes on, if it does.
    """
    node, is_computed = read, False
    while (parent := node.parent) is not None:
        match parent.type:
            case "parenthesized_expression" | "cast_expression" | "dot_index_expression":
                pass
            case "unary_expression":
                if parent.operator == "not":
                    return _CHECKED, parent, None
                is_computed = True
            case "binary_expression":
                if parent.operator in _COMPARISONS or (parent.operator == "and" and node.field == "left"):
                    return _CHECKED, parent, None
                is_computed = is_computed or parent.operator not in ("and", "or")
            case "bracket_index_expression":
                if node.field != "table":
                    is_place = _is_instance(parent.get("table"))
                    return ("finding an instance by it" if is_place else _CHECKED), parent, None
            case "method_index_expression":
                called = last_name(parent)
                if called in _CLASS_TESTS:
                    return _CHECKED, parent, None
                if called in _HARMFUL_METHODS:
                    return f"calling {called} on it", parent, None
                parent = parent.parent  # the call, which gives something of the value
            case "arguments":
                verdict, is_passed_on = _argument(node, parent.parent)
                if verdict is not None:
                    return verdict, parent.parent, None
                if not is_passed_on:
                    return None, read, _parameter(node, parent.parent, own)
                parent = parent.parent
            case "for_numeric_clause":
                return "repeating something so often", node, None
            case "expression_list":
                return _assigned(node, parent.parent, is_computed)
            case "variable_list":
                return ("changing it" if node is not read else None), node, None
            case "if_statement" | "elseif_statement" | "while_statement" | "repeat_statement" | "if_expression":
                return (_CHECKED if node.field == "condition" else None), parent, None
            case _:
                return None, read, None
        node = parent
    return None, read, None


def _argument(node: Node, call: Node) -> tuple[str | None, bool]:
    """What passing the value to a call means, and whether the call gives the value back."""
    name, called = callee(call), method(call)
    if name in _CONVERSIONS:
        return None, True
    if name in _LOADING:
        return f"giving it to {name}", False
    if called in _SINKS:
        return f"giving it to {called}", False
    if called == "FireClient":
        return ("taking it for a player" if arguments(call)[0] is node else None), False
    # A result that is looked at or kept is a verdict on the value.
    return (None if call.is_statement else _CHECKED), False


def _parameter(node: Node, call: Node, own: dict[Node, tuple[Node, int]]) -> Node | None:
    """The parameter of an own function that gets the argument ``node``."""
    if call not in own:
        return None
    function, shift = own[call]
    at = arguments(call).index(node) + shift
    names = _parameters(function)
    return names[at] if 0 <= at < len(names) else None


def _assigned(value: Node, statement: Node, is_computed: bool) -> tuple[str | None, Node, Node | None]:
    """What it means that the value is given to a variable or property."""
    if statement.type not in ("assignment_statement", "update_statement"):
        return None, value, None
    targets, values = targets_and_values(statement)
    at = values.index(value) if value in values else len(targets)
    if at >= len(targets):
        return None, value, None
    target = targets[at]
    if target.type == "identifier":
        is_declared = statement.parent is not None and statement.parent.type == "variable_declaration"
        return None, value, target if is_declared else None
    changes = statement.type == "update_statement" or (is_computed and _mentions(value, target.text))
    if changes or last_name(target) in _SENSITIVE:
        name = last_name(target) or "a value"
        return f"{'changing' if changes else 'setting'} {name} by it", target, None
    return None, value, None


def _mentions(value: Node, text: str) -> bool:
    return value.end - value.start < 500 and text in value.text


def _is_instance(node: Node) -> bool:
    found = infer(node.tree).type_of(node)
    return found is not None and found.name in database().classes
