"""What exists is used as it can be: values, arguments, sides."""

from collections.abc import Iterator

from luau_rft.luau import flow
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import Node, Tree, arguments, fact
from luau_rft.roblox.api import Member, database
from luau_rft.roblox.infer import Inference, Use, infer
from luau_rft.roblox.types import string_value
from luau_rft.roblox.uses import assignments, call_of, services, value_set
from luau_rft.scorers.base import Hit

# What Lua's own libraries take is known too loosely to count.
_LUA_LIBRARIES = frozenset(database().libraries) - {"Instance", "task"}
_LITERALS = {"table_constructor": "table", "function_definition": "function", "nil": "nil"}
_OPEN = frozenset({"any", "table", "Content", "()", "nil", "buffer", "thread", "vector"})


def read_only_member(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A property that scripts cannot set, or a method or an event, on the left side of an assignment.

    Bad:
        local part = Instance.new("Part")
        part.ClassName = "Wall"
    Good:
        local part = Instance.new("Part")
        part.Name = "Wall"
    Bad:
        local part = Instance.new("Part")
        part.Touched = print
    Good:
        local part = Instance.new("Part")
        part.Touched:Connect(print)
    """
    for use, _ in assignments(tree):
        member, at = use.member, use.index.at
        if member.kind == "property" and member.readonly:
            yield at, f"{member.owner}.{member.name} cannot be set by a script"
        elif member.kind == "event":
            yield at, f"{member.owner}.{member.name} is an event: connect to it instead of setting it"
        elif member.kind == "method":
            yield at, f"{member.owner}.{member.name} is a method: call it instead of setting it"


def wrong_type(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A property that is set to a value of another type.

    Bad:
        local part = Instance.new("Part")
        part.Anchored = "true"
        part.Color = BrickColor.new("Bright red")
    Good:
        local part = Instance.new("Part")
        part.Anchored = true
        part.BrickColor = BrickColor.new("Bright red")
    Bad:
        workspace.Part.Color = "Red"
    Good:
        workspace.Part.Color = Color3.new(1, 0, 0)
    """
    inference = infer(tree)
    for use, value in _set_below(tree):
        found = _kind_of(inference, value)
        wanted = sorted({member.type for member in database().below(use.receiver.name, use.index.name)})
        if found is not None and not any(_fits(found, type_, value) for type_ in wanted):
            names = " or ".join(type_.rstrip("?") for type_ in wanted)
            yield value, f"{use.index.name} takes {names}, not {_shown(found, value)}"
    for use, value in assignments(tree):
        found = _kind_of(inference, value) if use.member.kind == "property" else None
        if found is not None and not _fits(found, use.member.type, value):
            yield value, f"{use.member.name} takes {use.member.type.rstrip('?')}, not {_shown(found, value)}"


def _set_below(tree: Tree) -> Iterator[tuple[Use, Node]]:
    """Properties that are set on instances of unknown class and differ from class to class, and the values."""
    inference, api = infer(tree), database()
    for use in inference.uses:
        if use.member is not None or use.receiver is None or use.receiver.exact or use.index.is_method:
            continue
        value = value_set(use.index.node) if use.receiver.name in api.classes else None
        if value is None:
            continue
        below = api.below(use.receiver.name, use.index.name)
        if below and all(member.kind == "property" for member in below):
            yield use, value


def wrong_argument_count(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function or method that is called with fewer arguments than it needs or more than it takes.

    Bad:
        local door = workspace:FindFirstChild()
    Good:
        local door = workspace:FindFirstChild("Door")
    Like: selene incorrect_standard_library_use
    """
    for use, call, member in _calls(tree):
        given = arguments(call)
        if (given and given[-1].type in ("function_call", "vararg_expression")) or member.owner in _LUA_LIBRARIES:
            continue
        if not member.accepts(len(given)):
            yield call, f"{_full_name(use)} takes {_count(member)}, not {len(given)}"


def wrong_argument_type(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An argument of a kind that the function or method does not take.

    Bad:
        local part = Instance.new("Part")
        part:PivotTo(Vector3.new(0, 5, 0))
    Good:
        local part = Instance.new("Part")
        part:PivotTo(CFrame.new(0, 5, 0))
    Bad:
        task.wait("soon")
    Good:
        task.wait(2)
    """
    inference = infer(tree)
    for use, call, member in _calls(tree):
        if member.counts and len(arguments(call)) != len(member.params):
            continue  # of several signatures this is not the one that is written down
        for value, (name, wanted) in zip(arguments(call), member.params, strict=False):
            found = _kind_of(inference, value) if name != "..." else None
            if found not in (None, "nil") and not _fits(found, wanted, value):
                yield value, f"{_full_name(use)} takes {wanted.rstrip('?')} as {name}, not {_shown(found, value)}"


def wrong_side(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """What is of use to a client alone in a script of the server, or the other way round.

    Bad:
        local Players = game:GetService("Players")
        print(Players.LocalPlayer.Name)
    Good:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            print(player.Name)
        end)
    Kind: server
    """
    if kind not in ("server", "client"):
        return
    api, guarded = database(), _asking_side(tree)
    elsewhere = {"server": {"client", "plugin"}, "client": {"server", "plugin"}}[kind]
    hits: list[tuple[Node, str, str | None]] = []
    for use in infer(tree).uses:
        if (member := use.member) is not None:
            hits.append((use.index.at, member.name, "plugin" if member.plugin else member.side))
    for node, name in services(tree):
        entry = api.classes.get(name, {})
        hits.append((node, name, "plugin" if entry.get("plugin") else entry.get("side")))
    for node, name, place in hits:
        if place in elsewhere and not any(start <= node.start < end for start, end in guarded):
            yield node, f"{name} is for a {place}; this script runs on the {kind}"


@fact
def _asking_side(tree: Tree) -> list[tuple[int, int]]:
    """Where the script has asked on which side it runs: it may well hold code for both."""
    variables, spans = resolve(tree), []
    asking = tree.method_calls("IsServer", "IsClient", "IsStudio")
    answers = [variable for variable in variables.variables if asking and variable.value in asking]
    asking = asking + [read for variable in answers for read in variable.reads]
    for node in asking:
        for above in node.ancestors():
            if above.type in ("if_statement", "if_expression"):
                spans.append((above.start, above.end))
                body, block = above.get("consequence"), above.parent
                if block is not None and body in flow.ending(tree):
                    spans.append((above.end, block.end))
                break
            if above.type == "binary_expression" and above.operator in ("and", "or"):
                spans.append((above.start, above.end))
    return spans


def _calls(tree: Tree) -> Iterator[tuple[Use, Node, Member]]:
    """The calls of known methods and functions."""
    for use in infer(tree).uses:
        member, call = use.member, call_of(use)
        if member is not None and call is not None and member.kind == ("method" if use.index.is_method else "function"):
            yield use, call, member


def _full_name(use: Use) -> str:
    """The name with its library, as ``Vector3.new``; methods go by their own."""
    return f"{use.static}.{use.index.name}" if use.static is not None else use.index.name


def _kind_of(inference: Inference, value: Node) -> str | None:
    """The name of a value's type, that of plain tables and functions included."""
    found = inference.type_of(value)
    return found.name if found is not None else _LITERALS.get(value.type)


def _fits(found: str, wanted: str, value: Node) -> bool:
    """Whether a value of type ``found`` will do where ``wanted`` is asked for, as far as that is known."""
    api, optional, wanted = database(), wanted.endswith("?"), wanted.rstrip("?")
    if found == wanted or wanted in _OPEN or found == "RBXScriptSignal":
        return True
    if found == "nil":
        return optional or wanted in api.classes
    if wanted == "function":
        return found in api.classes or found == "table"
    if wanted.startswith("{"):
        return found.startswith("{") or found == "table"
    if wanted in api.classes:
        return found in api.classes and (api.is_a(found, wanted) or api.is_a(wanted, found))
    if wanted.startswith("Enum."):
        return found in ("string", "number")
    if wanted == "EnumItem":
        return found.startswith("Enum.")
    if wanted == "number" and found == "string":  # converted, where the text is a number
        text = string_value(value)
        return text is None or _is_number(text)
    return wanted == "string" and found == "number"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.strip().lower().startswith("0x")
    return True


def _shown(found: str, value: Node) -> str:
    if found == "string" and value.type == "string" and len(value.text) <= 30:
        return f"the string {value.text}"
    return f"an array of {found[1:-1]}" if found.startswith("{") else found.replace("enum ", "Enum.")


def _count(member: Member) -> str:
    least, most = member.arity
    if member.counts:
        allowed = " or ".join(map(str, member.counts))
    elif most is None:
        allowed = f"at least {least}"
    else:
        allowed = str(least) if least == most else f"{least} to {most}"
    return f"{allowed} argument" + ("" if allowed == "1" else "s")
