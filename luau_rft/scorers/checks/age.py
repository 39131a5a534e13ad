"""What is used is current and fetched the way that the platform advises."""

from collections.abc import Iterator
from functools import cache

from luau_rft.luau.scopes import Variable
from luau_rft.luau.tree import Node, Tree, arguments, last_name
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import Inference, infer
from luau_rft.roblox.types import Index
from luau_rft.roblox.uses import instances
from luau_rft.scorers.base import Hit

# Old spellings that say by themselves what they are read from; scripts' own objects also have a destroy, a clone.
_TELLING = frozenset({"findFirstChild", "getChildren", "getService", "isA", "isDescendantOf", "waitForChild"})
# What scripts' own objects have as well.
_COMMON = frozenset({"Changed", "ClassName", "Clone", "Destroy", "Name"})
# Items whose successor is too young to ask for.
_CURRENT = frozenset({("KeyCode", "Unknown")})
_OF_VECTORS = frozenset({"magnitude", "unit"})
_OF_FRAMES = frozenset({"lookVector", "rightVector", "upVector"})


def parent_argument(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A parent passed to ``Instance.new``.

    Bad:
        local part = Instance.new("Part", workspace)
        part.Anchored = true
    Good:
        local part = Instance.new("Part")
        part.Anchored = true
        part.Parent = workspace
    """
    for call, _, _ in instances(tree):
        if len(arguments(call)) > 1:
            yield arguments(call)[1], "set Parent last instead of passing it to Instance.new"


def deprecated(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A member, global, class or enum item that is deprecated, old spellings included.

    Bad:
        local part = script.Parent
        part.Touched:connect(print)
    Good:
        local part = script.Parent
        part.Touched:Connect(print)
    Bad:
        wait(1)
    Good:
        task.wait(1)
    Bad:
        local mover = Instance.new("BodyVelocity")
    Good:
        local mover = Instance.new("LinearVelocity")
    Like: Luau DeprecatedApi, Luau DeprecatedGlobal, selene deprecated
    """
    for node, name, replacement in _deprecated(tree):
        if replacement != f"{name}Async":
            yield node, f"{name} is deprecated" + (f"; use {replacement}" if replacement else "")


def renamed(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A method by the name that it had before its present one, which ends in Async.

    Bad:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            player:LoadCharacter()
        end)
    Good:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            player:LoadCharacterAsync()
        end)
    """
    for node, name, replacement in _deprecated(tree):
        if replacement == f"{name}Async":
            yield node, f"{name} is now called {replacement}"


def service_by_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A service that is read from ``game`` by its name.

    Bad:
        print(game.Players.MaxPlayers)
    Good:
        print(game:GetService("Players").MaxPlayers)
    """
    for use in infer(tree).uses:
        name = use.index.name
        if use.receiver is None or use.receiver.name != "DataModel" or use.index.is_method:
            continue
        if name == "Workspace":
            yield use.index.at, "use workspace instead of game.Workspace"
        elif database().service(name):
            yield use.index.at, f'use game:GetService("{name}") instead of game.{name}'


def _deprecated(tree: Tree) -> Iterator[tuple[Node, str, str]]:
    """Where what is deprecated is used: the place, the name and what to use instead."""
    inference, api = infer(tree), database()
    for use in inference.uses:
        name, member, enum = use.index.name, use.member, use.receiver.enum if use.receiver is not None else None
        if member is not None and member.deprecated is not None:
            yield use.index.at, member.name, member.deprecated
        elif enum is not None and name in api.enum_aliases.get(enum, ()) and (enum, name) not in _CURRENT:
            yield use.index.at, f"Enum.{enum}.{name}", api.enum_aliases[enum][name]
    for index, replacement in _old_spellings(tree):
        yield index.at, index.name, replacement
    for node in inference.scopes.global_reads:
        member = api.global_(node.text)
        if member is not None and member.deprecated is not None:
            yield node, member.name, member.deprecated
    for _, node, name in instances(tree):
        replacement = api.classes.get(name or "", {}).get("deprecated")
        if name is not None and replacement is not None:
            yield node, name, replacement


@cache
def _spellings() -> dict[str, str]:
    """Names in lower camel case that are old spellings wherever the platform has them, with the present ones."""
    api, found = database(), {"waitForChild": "WaitForChild"}
    holders = [entry["members"] for entry in (*api.classes.values(), *api.datatypes.values())]
    for name, member in (item for members in holders for item in members.items()):
        if name[0].islower() and len(name) > 2 and member.get("deprecated"):
            found.setdefault(name, member["deprecated"])
    return found


def _old_spellings(tree: Tree) -> Iterator[tuple[Index, str]]:
    """Old spellings on values of unknown type, where the rest of the text says that these are the platform's."""
    inference, spellings = infer(tree), _spellings()
    own: set[str] | None = None
    for index in inference.indexes.values():
        if index.name not in spellings or inference.type_of(index.owner) is not None:
            continue
        own = _own_names(inference) if own is None else own
        if index.name not in own and _is_of_the_platform(inference, index, own):
            yield index, spellings[index.name]


def _own_names(inference: Inference) -> set[str]:
    """The names of functions and fields that the script itself defines."""
    tree = inference.tree
    names = {last_name(node.get("name")) for node in tree.of("function_declaration")}
    names |= {last_name(target) for part in tree.of("variable_list") for target in part.all("name")}
    return names | {last_name(field.get("name")) for field in tree.of("field")}


def _is_of_the_platform(inference: Inference, index: Index, own: set[str]) -> bool:
    owner, api = index.owner, database()
    through = inference.indexes.get(owner)
    if not index.is_method:
        if index.name in _OF_VECTORS and owner.type == "parenthesized_expression" and owner.children:
            return owner.children[0].operator in ("-", "+")
        wanted = "Vector3" if index.name in _OF_VECTORS else "CFrame" if index.name in _OF_FRAMES else None
        return through is not None and wanted is not None and wanted in api.property_types(through.name)
    if index.name == "connect":
        return through is not None and through.name[0].isupper() and through.name not in own
    variable = inference.scopes.of.get(owner)
    if index.name in _TELLING:
        return variable is None or variable.name != "self"
    return variable is not None and _looks_like_an_instance(inference, variable)


def _looks_like_an_instance(inference: Inference, variable: Variable) -> bool:
    """Whether all that a local is asked for is what instances have, and some of it only they have."""
    above = [inference.indexes.get(node.parent) for node in variable.reads if node.field == "table"]  # type: ignore[arg-type]
    spellings, api = _spellings(), database()
    if any(index is not None and index.name in spellings and not index.is_method for index in above):
        return False  # the script asks whether there is such a thing
    names = {index.name for index in above if index is not None} - spellings.keys()
    return any(api.member("Instance", name) for name in names - _COMMON) and all(
        api.member("Instance", name) or api.below("Instance", name) for name in names
    )
