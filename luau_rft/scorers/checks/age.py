"""What is used is current and fetched the way that the platform advises."""

from collections.abc import Iterator

from luau_rft.luau.tree import Node, Tree, arguments
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import index_of, infer, name_of
from luau_rft.roblox.uses import instances, type_name
from luau_rft.scorers.base import Hit


def parent_argument(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for call, _, _ in instances(tree):
        if len(arguments(call)) > 1:
            yield arguments(call)[1], "set Parent last instead of passing it to Instance.new"


def deprecated(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, name, replacement in _deprecated(tree):
        if replacement != f"{name}Async":
            yield node, f"{name} is deprecated" + (f"; use {replacement}" if replacement else "")


def renamed(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, name, replacement in _deprecated(tree):
        if replacement == f"{name}Async":
            yield node, f"{name} is now called {replacement}"


def service_by_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("dot_index_expression"):
        owner, name = index_of(node)
        if owner is None or name is None or name == "Workspace" or not database().service(name):
            continue
        if type_name(tree, owner) == "DataModel":
            yield name_of(node), f'use game:GetService("{name}") instead of game.{name}'


def _deprecated(tree: Tree) -> Iterator[tuple[Node, str, str]]:
    """Where deprecated members, globals and classes are used: the place, the name and what to use instead."""
    inference, api = infer(tree), database()
    for node in tree.of("dot_index_expression", "method_index_expression"):
        member = inference.member_of(node)
        if member is not None and member.deprecated is not None:
            yield name_of(node), member.name, member.deprecated
    for node in inference.scopes.global_reads:
        member = api.global_(node.text)
        if member is not None and member.deprecated is not None:
            yield node, member.name, member.deprecated
    for _, node, name in instances(tree):
        replacement = api.classes.get(name or "", {}).get("deprecated")
        if name is not None and replacement is not None:
            yield node, name, replacement
