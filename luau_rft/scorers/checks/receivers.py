"""What stands before a dot, a colon or ``do`` can be used in that way; all else raises an error when it runs."""

from collections.abc import Iterator

from luau_rft.luau.tree import Node, Tree, arguments
from luau_rft.roblox.api import Member
from luau_rft.roblox.infer import CONNECTING, Inference, Use, infer
from luau_rft.roblox.types import string_value
from luau_rft.roblox.uses import arguments_of, call_of
from luau_rft.scorers.base import Hit

# Methods of every instance that take a name, by names that nobody gives to other functions.
_TAKING_NAMES = frozenset(
    {
        "FindFirstAncestor", "FindFirstAncestorOfClass", "FindFirstChild", "FindFirstChildOfClass",
        "FindFirstChildWhichIsA", "GetPropertyChangedSignal", "WaitForChild",
    }
)  # fmt: skip
_ITERATORS = frozenset({"pairs", "ipairs", "next"})
_NO_OBJECTS = frozenset({"nil", "function_definition", "table_constructor"})
_OPEN_ENDED = frozenset({"function_call", "vararg_expression"})


def method_with_dot(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A method that is called with a dot, which does not tell it what it is called on.

    Bad:
        local Players = game.GetService("Players")
        print(Players.Name)
    Bad:
        local door = script.Parent
        door.Touched.Connect(function(hit)
            print(hit.Name)
        end)
    Bad:
        local function open(door)
            door.FindFirstChild("Hinge"):Destroy()
        end
        open(script.Parent)
    Good:
        local Players = game:GetService("Players")
        print(Players.Name)
    Good:
        local door = script.Parent
        door.Touched:Connect(function(hit)
            print(hit.Name)
        end)
    """
    inference = infer(tree)
    for use in inference.uses:
        member = use.member
        if member is None or member.kind != "method" or use.index.is_method or call_of(use) is None:
            continue
        if _lacks_receiver(inference, use, member):
            yield use.index.at, f"{member.name} is a method: call it with a colon, `:{member.name}(...)`"
    for node in tree.of("dot_index_expression"):
        index = inference.indexes.get(node) if _is_called(node) else None
        if index is None or index.name not in _TAKING_NAMES | CONNECTING:
            continue
        if inference.type_of(index.owner) is not None:
            continue  # told above
        if index.name in CONNECTING and _is_event(inference, index.owner):
            yield index.at, f"{index.name} is a method: call it with a colon, `:{index.name}(...)`"
        elif index.name in _TAKING_NAMES and _is_handed_in(inference, index.owner):
            given = arguments(node.parent)  # type: ignore[arg-type]
            if given and string_value(given[0]) is not None:
                yield index.at, f"{index.name} is a method: call it with a colon, `:{index.name}(...)`"


def _lacks_receiver(inference: Inference, use: Use, member: Member) -> bool:
    """Whether the first argument of a method called with a dot cannot be what it is called on."""
    given, api = arguments_of(use), inference.api
    first = given[0] if given else None
    if first is None or first.type in _NO_OBJECTS:
        return True
    if first.type == "vararg_expression" or first.text == use.index.owner.text:
        return False
    if given[-1].type not in _OPEN_ENDED and len(given) <= member.arity[0]:
        return True  # with the receiver there is one argument more
    found = inference.type_of(first)
    if found is None:
        return False
    if found.name in api.classes and member.owner in api.classes and not api.service(member.owner):
        return not api.is_a(found.name, member.owner) and not api.is_a(member.owner, found.name)
    return found.name != member.owner


def called_event(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An event that is called like a function.

    Bad:
        local Players = game:GetService("Players")
        Players.PlayerAdded(function(player)
            player:SetAttribute("Coins", 0)
        end)
    Good:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            player:SetAttribute("Coins", 0)
        end)
    """
    inference = infer(tree)
    for node in tree.of("dot_index_expression"):
        if _is_called(node) and _is_event(inference, node):
            name = inference.indexes[node].name
            yield inference.indexes[node].at, f"{name} is an event: connect to it, `{name}:Connect(...)`"


def function_with_colon(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function of a library that is called with a colon, which hands it the library as its first argument.

    Bad:
        local part = Instance:new("Part")
        part.Parent = workspace
    Bad:
        task:wait(1)
    Good:
        local part = Instance.new("Part")
        part.Parent = workspace
    Good:
        task.wait(1)
    """
    for use in infer(tree).uses:
        member, index = use.member, use.index
        if use.static is not None and index.is_method and member is not None and member.params:
            yield index.at, f"{use.static}.{index.name} is called with a dot: `{use.static}.{index.name}(...)`"


def iterated_instance(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop over an instance itself, which is no list of its children.

    Bad:
        for _, child in pairs(workspace) do
            child:Destroy()
        end
    Bad:
        local Players = game:GetService("Players")
        for _, player in Players do
            player:SetAttribute("Coins", 0)
        end
    Good:
        for _, child in workspace:GetChildren() do
            child:Destroy()
        end
    Good:
        local Players = game:GetService("Players")
        for _, player in Players:GetPlayers() do
            player:SetAttribute("Coins", 0)
        end
    """
    inference = infer(tree)
    for clause in tree.of("for_generic_clause"):
        lists = [part for part in clause.children if part.type == "expression_list"]
        iterated = lists[0].children[0] if lists and lists[0].children else None
        if iterated is None:
            continue
        if iterated.type == "function_call" and inference.global_name(iterated.get("name")) in _ITERATORS:
            iterated = arguments(iterated)[0] if arguments(iterated) else iterated
        found = inference.type_of(iterated)
        if found is not None and inference.api.is_a(found.name, "Instance"):
            asked = "GetPlayers" if found.name == "Players" else "GetChildren"
            yield iterated, f"an instance is no list: loop over `:{asked}()`"


def _is_called(node: Node) -> bool:
    return node.field == "name" and node.parent is not None and node.parent.type == "function_call"


def _is_event(inference: Inference, node: Node) -> bool:
    """Whether an index of an instance, whose class may not be known, is an event or else a child."""
    index = inference.indexes.get(node)
    if index is None or index.is_method:
        return False
    if inference.event_of(node) is not None:
        return True
    owner = inference.type_of(index.owner)
    is_instance = owner is not None and inference.api.is_a(owner.name, "Instance")
    return is_instance and inference.api.property_types(index.name) == {"event"}


def _is_handed_in(inference: Inference, owner: Node) -> bool:
    """Whether a value of unknown type is no table of the script's own or of a module."""
    if owner.type == "dot_index_expression":
        return inference.indexes[owner].name == "Parent" if owner in inference.indexes else False
    variable = inference.scopes.of.get(owner)
    return variable is not None and variable.kind in ("parameter", "loop") and variable.name != "self"
