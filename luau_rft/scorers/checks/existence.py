"""What is named exists: services, classes, enums, members."""

import re
from collections.abc import Iterator
from functools import lru_cache

from luau_rft.luau.tree import Node, Tree, arguments, callee
from luau_rft.roblox.api import Member, database
from luau_rft.roblox.infer import CONNECTING, Inference, Use, infer
from luau_rft.roblox.types import Type, string_value
from luau_rft.roblox.uses import arguments_of, assignment_of, assignments, instances, services
from luau_rft.scorers.base import Hit

_CLASS_TESTS = (
    "IsA", "FindFirstChildOfClass", "FindFirstChildWhichIsA", "FindFirstAncestorOfClass", "FindFirstAncestorWhichIsA"
)  # fmt: skip
# Services whose children may have any name.
_CONTAINERS = frozenset(
    [
        "Workspace", "ReplicatedStorage", "ReplicatedFirst", "ServerStorage", "ServerScriptService", "StarterGui",
        "StarterPack", "StarterPlayer", "CoreGui", "TestService",
    ]
)  # fmt: skip
_SEVERAL_WORDS = re.compile("[a-z][A-Z]|[A-Z]{2}[a-z]")


def unknown_service(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A service that the platform does not have.

    Bad:
        local Players = game:GetService("PlayersService")
        print(Players.Name)
    Good:
        local Players = game:GetService("Players")
        print(Players.Name)
    """
    for node, name in services(tree):
        if not database().service(name):
            yield node, f"there is no service {name}"


def unknown_class(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A class that does not exist or that scripts cannot create, or a test for one that is misspelt.

    Bad:
        local brick = Instance.new("Brick")
        brick.Parent = workspace
    Good:
        local brick = Instance.new("Part")
        brick.Parent = workspace
    Bad:
        local hit = script.Parent
        print(hit:IsA("BasePrat"))
    Good:
        local hit = script.Parent
        print(hit:IsA("BasePart"))
    Like: Luau UnknownType
    """
    api = database()
    for _, node, name in instances(tree):
        if name is not None and not api.creatable(name):
            reason = "cannot be created" if name in api.classes else "does not exist"
            yield node, f"Instance.new: class {name} {reason}"
    for call in tree.method_calls(*_CLASS_TESTS):
        given = arguments(call)
        name = string_value(given[0]) if given else None
        if name is not None and name not in api.classes and (meant := _nearest(name, tuple(api.classes))):
            yield given[0], f"there is no class {name}; did you mean {meant}?"


def unknown_enum_item(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An enum, or an item of one, that does not exist.

    Bad:
        local part = Instance.new("Part")
        part.Material = Enum.Material.Gras
        part.Parent = workspace
    Good:
        local part = Instance.new("Part")
        part.Material = Enum.Material.Grass
        part.Parent = workspace
    """
    api = database()
    for use in infer(tree).uses:
        index, receiver = use.index, use.receiver
        if receiver is None or index.is_method:
            continue
        if receiver.name == "Enums":
            if index.name not in api.enums:
                yield index.at, f"there is no Enum.{index.name}"
        elif receiver.enum in api.enums and use.member is None and api.enum_item(receiver.enum, index.name) is None:
            yield index.at, f"Enum.{receiver.enum} has no item {index.name}"
    for use, value in assignments(tree):
        item, enum = string_value(value), use.member.type.removeprefix("Enum.").rstrip("?")
        if item is not None and use.member.type.startswith("Enum.") and api.enum_item(enum, item) is None:
            yield value, f"{use.member.name} takes an item of Enum.{enum}, which has no {item}"


def unknown_member(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A member that what it is read from, set on or called on does not have.

    What is merely read from an instance can be the name of a child, unless it is a member's name misspelt, or that of
    a member of another service.

    Bad:
        local part = Instance.new("Part")
        part.Colour = Color3.new(1, 0, 0)
        part:SetColor("red")
    Good:
        local part = Instance.new("Part")
        part.Color = Color3.new(1, 0, 0)
        part.BrickColor = BrickColor.new("Bright red")
    Bad:
        local Players = game:GetService("Players")
        print(Players.LocalPlyer.Name)
    Good:
        local Players = game:GetService("Players")
        print(Players.LocalPlayer.Name)
    Bad:
        local RunService = game:GetService("RunService")
        print(RunService.LocalPlayer.Name)
    Good:
        local Players = game:GetService("Players")
        print(Players.LocalPlayer.Name)
    Like: selene incorrect_standard_library_use
    """
    inference, api = infer(tree), database()
    for use in inference.uses:
        index, receiver = use.index, use.receiver
        if use.member is not None:
            continue
        if use.static is not None:
            yield index.at, f"{use.static} has no {index.name}"
        elif receiver is None or receiver.name == "Enums" or (receiver.enum and not index.is_method):
            continue
        elif index.name in CONNECTING and (below := inference.indexes.get(index.owner)) is not None:
            if inference.members.get(below.node) is not None:  # else the event itself is what is unknown
                yield index.at, f"{receiver.name} has no {_word(inference, use)} {index.name}"
        elif not _may_have(inference, use, receiver):
            yield index.at, f"{receiver.name} has no {_word(inference, use)} {index.name}"
        elif meant := _misspelt(inference, use, receiver):
            yield index.at, f"{receiver.name} has no {index.name}; did you mean {meant.name}?"
        elif meant := _of_another_service(inference, use, receiver):
            yield index.at, f"{receiver.name} has no {index.name}; {meant.owner} has"
    for node, owner, name in _named_properties(tree):
        if api.member(owner.name, name) is None and (owner.exact or not api.below(owner.name, name)):
            yield node, f"{owner.name} has no property {name}"


def _named_properties(tree: Tree) -> Iterator[tuple[Node, Type, str]]:
    """Properties that tweens and GetPropertyChangedSignal are told by name: where, of what, and the name."""
    inference, api = infer(tree), database()
    for use in inference.uses:
        if use.member is None or use.index.name not in ("Create", "GetPropertyChangedSignal"):
            continue
        given = arguments_of(use)
        if use.member.owner == "TweenService" and len(given) == 3 and given[2].type == "table_constructor":
            owner = inference.type_of(given[0])
            for field in given[2].children if owner is not None and owner.name in api.classes else ():
                name = field.get("name")
                if name is not None and name.type == "identifier" and not _is_computed(field):
                    yield name, owner, name.text
        elif use.index.name == "GetPropertyChangedSignal" and given and (name := string_value(given[0])) is not None:
            yield given[0], use.receiver, name  # type: ignore[misc]  # a method has a receiver


def _is_computed(field: Node) -> bool:
    return field.tree.data[field.start : field.start + 1] == b"["


def _may_have(inference: Inference, use: Use, receiver: Type) -> bool:
    """Whether ``receiver`` can have the member; only the way it is used can rule that out."""
    api, index = inference.api, use.index
    if receiver.name == "string":
        return not index.is_method
    if receiver.owner in api.datatypes:
        return False
    if receiver.name not in api.classes:
        return True
    if not receiver.exact and api.below("Object" if receiver.claimed else receiver.name, index.name):
        return True
    if index.is_method or not api.is_a(receiver.name, "Instance"):
        return False
    return assignment_of(index.node) is None and not _is_connected(inference, index.node)  # else it can be a child


def _is_connected(inference: Inference, node: Node) -> bool:
    above = inference.indexes.get(node.parent) if node.field == "table" else None  # type: ignore[arg-type]
    return above is not None and above.is_method and above.name in CONNECTING


def _word(inference: Inference, use: Use) -> str:
    if use.index.is_method:
        return "method"
    return "event" if _is_connected(inference, use.index.node) else "property"


def _misspelt(inference: Inference, use: Use, receiver: Type) -> Member | None:
    """The member that is meant by a name which may as well be a child's, but which no child is known by."""
    api, index = inference.api, use.index
    if (
        index.is_method
        or receiver.name not in api.classes
        or (not receiver.exact and api.below(receiver.name, index.name))
    ):
        return None
    if any(index.name in api.classes[c].get("children", ()) for c in api.ancestry(receiver.name)):
        return None
    name = _nearest(index.name, _names(receiver.name))
    member = api.member(receiver.name, name) if name is not None else None
    if member is None or f'"{index.name}"' in index.node.tree.source or f"'{index.name}'" in index.node.tree.source:
        return None
    above = inference.indexes.get(index.node.parent) if index.node.field == "table" else None  # type: ignore[arg-type]
    if above is None:
        is_passed = member.owner not in ("Instance", "Object") and _is_passed(index.node)
        return member if member.kind == "property" or is_passed else None
    # What is asked of it further shows whether it is the member or a child.
    value = Type("RBXScriptSignal") if member.kind == "event" else Type(member.type.rstrip("?"))
    return member if inference.member(value, above.name) is not None else None


def _of_another_service(inference: Inference, use: Use, receiver: Type) -> Member | None:
    """The member of another service that is asked of this one, by a name that nobody gives a child."""
    api, index = inference.api, use.index
    if index.is_method or not api.service(receiver.name) or not _SEVERAL_WORDS.search(index.name):
        return None
    if index.name in api.classes[receiver.name].get("children", ()):
        return None
    above = inference.indexes.get(index.node.parent) if index.node.field == "table" else None  # type: ignore[arg-type]
    for member in api.below("Instance", index.name):
        value = Type("RBXScriptSignal") if member.kind == "event" else Type(member.type.rstrip("?"))
        if not api.service(member.owner) or (receiver.name in _CONTAINERS and value.name not in api.classes):
            continue
        if above is None and (member.kind != "method" or _is_passed(index.node)):
            return member
        if above is not None and inference.member(value, above.name) is not None:
            return member
    return None


def _is_passed(node: Node) -> bool:
    """Whether it is a value, as in ``pcall(service.Method, service)`` and ``local event = service.Event``."""
    parent = node.parent
    if parent is None or parent.parent is None or parent.type not in ("arguments", "expression_list", "field"):
        return False
    return parent.type != "arguments" or callee(parent.parent) != "require"  # modules are children


@lru_cache(maxsize=256)
def _names(owner: str) -> tuple[str, ...]:
    """The members of a class, those of superclasses included."""
    api = database()
    return tuple(name for c in api.ancestry(owner) for name in api.classes[c]["members"])


@lru_cache(maxsize=1024)
def _nearest(name: str, names: tuple[str, ...]) -> str | None:
    """The only change from one of ``names`` is one letter or the case; numbers and plurals are other names."""
    if len(name) < 4:
        return None
    for other in names:
        if abs(len(other) - len(name)) > 1 or other == name or name == f"{other}s" or other == f"{name}s":
            continue
        start = 0
        while start < min(len(name), len(other)) and name[start] == other[start]:
            start += 1
        rest, meant = name[start:], other[start:]
        swapped = len(rest) > 1 and rest[1::-1] + rest[2:] == meant
        if rest[:1].isdigit() or meant[:1].isdigit():
            continue
        if rest[1:] == meant[1:] or rest[1:] == meant or rest == meant[1:] or swapped or name.lower() == other.lower():
            return other
    return None
