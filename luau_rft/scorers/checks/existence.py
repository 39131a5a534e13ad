"""What is named exists: services, classes, enums, members."""

from collections.abc import Iterator

from luau_rft.luau.tree import Node, Tree
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import CONNECTING, Type, index_of, infer, name_of, string_value
from luau_rft.roblox.uses import assignments, instances, services
from luau_rft.scorers.base import Hit


def unknown_service(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, name in services(tree):
        if not database().service(name):
            yield node, f"there is no service {name}"


def unknown_class(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for _, node, name in instances(tree):
        if name is not None and not database().creatable(name):
            reason = "cannot be created" if name in database().classes else "does not exist"
            yield node, f"Instance.new: class {name} {reason}"


def unknown_enum_item(tree: Tree, kind: str | None) -> Iterator[Hit]:
    inference, api = infer(tree), database()
    for node in tree.of("dot_index_expression", "method_index_expression"):
        owner, name = index_of(node)
        if owner is None or name is None:
            continue
        if inference.global_name(owner) == "Enum":
            if node.type == "dot_index_expression" and name not in api.enums:
                yield name_of(node), f"there is no Enum.{name}"
        elif inference.global_name(index_of(owner)[0]) == "Enum" and node.type == "dot_index_expression":
            enum = index_of(owner)[1]
            if enum in api.enums and api.enum_item(enum, name) is None and api.member("Enum", name) is None:
                yield name_of(node), f"Enum.{enum} has no item {name}"
    for _, member, value in assignments(tree):
        item, enum = string_value(value), member.type.removeprefix("Enum.").rstrip("?")
        if item is not None and member.type.startswith("Enum.") and api.enum_item(enum, item) is None:
            yield value, f"{member.name} takes an item of Enum.{enum}, which has no {item}"


def unknown_member(tree: Tree, kind: str | None) -> Iterator[Hit]:
    inference, api = infer(tree), database()
    for node in tree.of("dot_index_expression", "method_index_expression"):
        owner, name = index_of(node)
        if owner is None or name is None or inference.member_of(node) is not None:
            continue
        if name in CONNECTING and owner.type == "dot_index_expression" and inference.member_of(owner) is None:
            continue  # the event itself is what is unknown
        static = inference.global_name(owner)
        receiver = inference.type_of(owner)
        if static is not None and api.has_statics(static):
            yield name_of(node), f"{static} has no {name}"
        elif receiver is not None and not _may_have(node, receiver, name):
            yield name_of(node), f"{receiver.name} has no {_word(node)} {name}"


def _may_have(node: Node, receiver: Type, name: str) -> bool:
    """Whether ``receiver`` can have the member that ``node`` uses; only the way it is used can rule that out."""
    api = database()
    if receiver.name == "string":
        return node.type != "method_index_expression"
    if receiver.owner in api.datatypes:
        return False
    if receiver.name not in api.classes:
        return True
    if not receiver.exact and api.below(receiver.name, name):
        return True
    if node.type == "method_index_expression" or not api.is_a(receiver.name, "Instance"):
        return False
    return not (_is_target(node) or _is_connected(node))  # else it can be the name of a child


def _is_target(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "variable_list" and parent.parent is not None and (
        parent.parent.type == "assignment_statement" and node.field == "name"
    )  # fmt: skip


def _is_connected(node: Node) -> bool:
    name = index_of(node.parent)[1] if node.field == "table" else None
    return name in CONNECTING and node.parent is not None and node.parent.type == "method_index_expression"


def _word(node: Node) -> str:
    return "method" if node.type == "method_index_expression" else "event" if _is_connected(node) else "property"
