"""Where a program uses the Roblox API in ways that several rules look at."""

from functools import lru_cache

from luau_rft.luau.scopes import targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, method
from luau_rft.roblox.api import Member
from luau_rft.roblox.infer import index_of, infer, string_value


@lru_cache(maxsize=4)
def services(tree: Tree) -> list[tuple[Node, str]]:
    """Every service that ``game:GetService`` is asked for by a literal: where the name stands, and the name."""
    found = []
    for call in tree.of("function_call"):
        name = string_value(arguments(call)[0]) if method(call) == "GetService" and arguments(call) else None
        owner, _ = index_of(call.get("name"))
        if name is not None and owner is not None and type_name(tree, owner) == "DataModel":
            found.append((arguments(call)[0], name))
    return found


@lru_cache(maxsize=4)
def instances(tree: Tree) -> list[tuple[Node, Node, str | None]]:
    """Every call of Instance.new, its first argument and the class, where that is a literal."""
    inference, found = infer(tree), []
    for call in tree.of("function_call"):
        owner, name = index_of(call.get("name"))
        if name == "new" and inference.global_name(owner) == "Instance" and arguments(call):
            found.append((call, arguments(call)[0], string_value(arguments(call)[0])))
    return found


@lru_cache(maxsize=4)
def assignments(tree: Tree) -> list[tuple[Node, Member, Node]]:
    """Target, member and value wherever a known member is set."""
    inference, found = infer(tree), []
    for statement in tree.of("assignment_statement"):
        for target, value in zip(*targets_and_values(statement), strict=False):
            member = inference.member_of(target) if target.type == "dot_index_expression" else None
            if member is not None:
                found.append((target, member, value))
    return found


def type_name(tree: Tree, node: Node) -> str | None:
    """The name of an expression's type, where it is known."""
    found = infer(tree).type_of(node)
    return found.name if found is not None else None
