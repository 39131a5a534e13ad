"""Names: what is defined nowhere, never used, hidden."""

from collections.abc import Iterator
from functools import cache

from luau_rft.luau.scopes import Variable, resolve
from luau_rft.luau.tree import Tree
from luau_rft.roblox.api import database
from luau_rft.scorers.base import Hit


def undefined_global(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    scopes = resolve(tree)
    defined = {node.text for node in scopes.global_writes}
    seen = set()
    for node in scopes.global_reads:
        name = node.text
        if name not in defined and name not in seen and not _is_known(name):
            seen.add(name)
            yield node, f"`{name}` is defined nowhere{_FOREIGN_NAMES.get(name, '')}"


def global_variable(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    seen = set()
    for node in resolve(tree).global_writes:
        if node.text not in seen:
            seen.add(node.text)
            yield node, f"`{node.text}` is a global: declare it with `local`"


def unused_variable(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    for variable in resolve(tree).variables:
        if variable.kind in ("local", "function") and not _is_used(variable, tree):
            yield variable.node, f"`{variable.name}` is never used: remove it"


def shadowing(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    for variable in resolve(tree).variables:
        outer = variable.shadows
        if outer is None or variable.name.startswith("_") or variable.name == "self":
            continue
        is_copy = variable.value is not None and variable.value.text.startswith(variable.name)
        if not is_copy:
            yield variable.node, f"`{variable.name}` hides the variable of that name on line {outer.node.line}"


@cache
def _is_known(name: str) -> bool:
    api = database()
    return name in api.globals or api.has_statics(name) or name in ("Enum", "typeof")


_FOREIGN_NAMES = {
    "None": ": write nil",
    "null": ": write nil",
    "undefined": ": write nil",
    "True": ": write true",
    "False": ": write false",
    "this": ": write self, inside a function declared with a colon",
    "console": ": write print(...)",
    "len": ": write #value",
    "str": ": write tostring(value)",
    "int": ": write math.floor(value) or tonumber(text)",
    "range": ": write for i = first, last do",
    "self": ": it exists only in functions declared with a colon",
    "player": ": a server script gets players from Players.PlayerAdded, a LocalScript from Players.LocalPlayer",
}


def _is_used(variable: Variable, tree: Tree) -> bool:
    if variable.reads or variable.name.startswith("_") or variable.name in tree.type_names:
        return True
    # The first results of several may be there only to reach the later ones.
    if variable.kind == "local" and variable.node.parent is not None:
        names = variable.node.parent.all("name")
        scopes = resolve(tree)
        later = names[names.index(variable.node) + 1 :] if variable.node in names else []
        return any(scopes.of[name].reads for name in later if name in scopes.of)
    return False
