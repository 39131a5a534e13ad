"""Whether code uses the Roblox API as it is: what it names exists, is current, fits and is on the right side.

Only what is certain counts: an instance's children are read like its members, so what merely is not in the database may
still be there at run time. Code that uses no Roblox API has nothing to get wrong and scores 1.
"""

import re
from collections.abc import Iterator

from luau_rft.luau.scopes import targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, method
from luau_rft.roblox.api import Member, database
from luau_rft.roblox.infer import CONNECTING, Type, index_of, infer, name_of, string_value
from luau_rft.scorers.base import Hit, Rule, Rules, Score

RULES = Rules(
    "api",
    {
        "unknown-service": Rule(0.25, 0.5, "GetService raises an error for a service that does not exist."),
        "unknown-class": Rule(0.25, 0.5, "Instance.new raises an error for a class that it cannot create."),
        "unknown-enum-item": Rule(0.2, 0.5, "Reading an enum or an item that does not exist is an error."),
        "unknown-member": Rule(0.2, 0.6, "Calling, setting or reading a member that does not exist is an error."),
        "read-only-member": Rule(0.15, 0.3, "Setting a property that scripts cannot set is an error."),
        "wrong-type": Rule(0.15, 0.45, "Setting a property to a value of another type is an error."),
        "wrong-argument-count": Rule(0.1, 0.3, "A call without its required arguments is an error; more are ignored."),
        "wrong-side": Rule(0.2, 0.4, "What only the client or only the server has errors or does nothing elsewhere."),
        "deprecated": Rule(0.05, 0.25, "Deprecated API is slower, broken or about to go, and has a better successor."),
        "renamed": Rule(0.02, 0.06, "The old name still works; the new one, in Async, says that the call yields."),
        "service-by-index": Rule(0.03, 0.09, "game.Name fails for a service that is renamed or not yet made."),
        "parent-argument": Rule(0.02, 0.06, "Instance.new with a parent replicates every property that is set after."),
    },
)

_LUA_LIBRARIES = frozenset(database().libraries) - {"Instance", "task"}

# A script that asks where it runs may well hold code for both sides.
_ASKS_SIDE = re.compile(r":\s*Is(?:Client|Server)\s*\(")


def score(source: str, kind: str | None = None) -> Score:
    """Score the use of the Roblox API; ``kind`` is server, client, module or None where it is not known.

    Code that does not compile starts from the share of it that could be read, code of little substance from less.

    >>> score('game:GetService("PlayerService")').findings[0].message
    'there is no service PlayerService'
    """
    return RULES.score(source, kind)


@RULES.check
def unknown_service(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, name in _services(tree):
        if not database().service(name):
            yield node, f"there is no service {name}"


@RULES.check
def unknown_class(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for _, node, name in _instance_new(tree):
        if name is not None and not database().creatable(name):
            reason = "cannot be created" if name in database().classes else "does not exist"
            yield node, f"Instance.new: class {name} {reason}"


@RULES.check
def parent_argument(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for call, _, _ in _instance_new(tree):
        if len(arguments(call)) > 1:
            yield arguments(call)[1], "set Parent last instead of passing it to Instance.new"


@RULES.check
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
    for _, member, value in _assignments(tree):
        item, enum = string_value(value), member.type.removeprefix("Enum.").rstrip("?")
        if item is not None and member.type.startswith("Enum.") and api.enum_item(enum, item) is None:
            yield value, f"{member.name} takes an item of Enum.{enum}, which has no {item}"


@RULES.check
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


@RULES.check
def read_only_member(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for target, member, _ in _assignments(tree):
        if member.kind == "property" and member.readonly:
            yield name_of(target), f"{member.owner}.{member.name} cannot be set by a script"
        elif member.kind in ("event", "method"):
            use = "connect to it" if member.kind == "event" else "call it"
            yield (
                name_of(target),
                f"{member.owner}.{member.name} is {_article(member.kind)}: {use} instead of setting it",
            )


@RULES.check
def wrong_type(tree: Tree, kind: str | None) -> Iterator[Hit]:
    inference = infer(tree)
    for _, member, value in _assignments(tree):
        found = inference.type_of(value)
        if member.kind == "property" and found is not None and not _fits(found.name, member.type):
            yield value, f"{member.name} takes {member.type.rstrip('?')}, not {found.name}"


@RULES.check
def wrong_argument_count(tree: Tree, kind: str | None) -> Iterator[Hit]:
    inference = infer(tree)
    for call in tree.of("function_call"):
        callee, given = call.get("name"), arguments(call)
        if callee is None or (given and given[-1].type in ("function_call", "vararg_expression")):
            continue
        member = inference.member_of(callee)
        kind_called = "method" if callee.type == "method_index_expression" else "function"
        # What Lua's own libraries take is checked by the other scorers' eyes: here it is known too loosely.
        if member is None or member.kind != kind_called or member.owner in _LUA_LIBRARIES:
            continue
        if not member.accepts(len(given)):
            yield call, f"{member.name} takes {_count(member)}, not {len(given)}"


@RULES.check
def wrong_side(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if kind not in ("server", "client") or _ASKS_SIDE.search(tree.source):
        return
    inference, api = infer(tree), database()
    elsewhere = {"server": {"client", "plugin"}, "client": {"server", "plugin"}}[kind]
    for node in tree.of("dot_index_expression", "method_index_expression"):
        member = inference.member_of(node)
        if member is not None and (place := "plugin" if member.plugin else member.side) in elsewhere:
            yield name_of(node), f"{member.name} is for a {place}; this script runs on the {kind}"
    for node, name in _services(tree):
        entry = api.classes.get(name, {})
        if (place := "plugin" if entry.get("plugin") else entry.get("side")) in elsewhere:
            yield node, f"{name} is for a {place}; this script runs on the {kind}"


@RULES.check
def deprecated(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, name, replacement in _deprecated(tree):
        if replacement != f"{name}Async":
            yield node, f"{name} is deprecated" + (f"; use {replacement}" if replacement else "")


@RULES.check
def renamed(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, name, replacement in _deprecated(tree):
        if replacement == f"{name}Async":
            yield node, f"{name} is now called {replacement}"


@RULES.check
def service_by_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("dot_index_expression"):
        owner, name = index_of(node)
        if owner is None or name is None or name == "Workspace" or not database().service(name):
            continue
        if _named(tree, owner) == "DataModel":
            yield name_of(node), f'use game:GetService("{name}") instead of game.{name}'


def _services(tree: Tree) -> Iterator[tuple[Node, str]]:
    """Every service that ``game:GetService`` is asked for by a literal: where the name stands, and the name."""
    for call in tree.of("function_call"):
        name = string_value(arguments(call)[0]) if method(call) == "GetService" and arguments(call) else None
        owner, _ = index_of(call.get("name"))
        if name is not None and owner is not None and _named(tree, owner) == "DataModel":
            yield arguments(call)[0], name


def _instance_new(tree: Tree) -> Iterator[tuple[Node, Node, str | None]]:
    """Every call of Instance.new, its first argument and the class, where that is a literal."""
    inference = infer(tree)
    for call in tree.of("function_call"):
        owner, name = index_of(call.get("name"))
        if name == "new" and inference.global_name(owner) == "Instance" and arguments(call):
            yield call, arguments(call)[0], string_value(arguments(call)[0])


def _assignments(tree: Tree) -> Iterator[tuple[Node, Member, Node]]:
    """Target, member and value wherever a known member is set."""
    inference = infer(tree)
    for statement in tree.of("assignment_statement"):
        for target, value in zip(*targets_and_values(statement), strict=False):
            member = inference.member_of(target) if target.type == "dot_index_expression" else None
            if member is not None:
                yield target, member, value


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
    for _, node, name in _instance_new(tree):
        replacement = api.classes.get(name or "", {}).get("deprecated")
        if name is not None and replacement is not None:
            yield node, name, replacement


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


def _fits(found: str, wanted: str) -> bool:
    """Whether a value of type ``found`` can be set to a property of type ``wanted``, as far as that is known."""
    api, wanted = database(), wanted.rstrip("?")
    if found == wanted or wanted in ("any", "table", "function", "Content") or found.startswith("{"):
        return True
    if wanted in api.classes:
        return found in api.classes and (api.is_a(found, wanted) or api.is_a(wanted, found))
    if wanted.startswith("Enum."):
        return found in ("string", "number")
    return {found, wanted} == {"string", "number"}  # converted, where the text is a number


def _count(member: Member) -> str:
    least, most = member.arity
    if member.counts:
        allowed = " or ".join(map(str, member.counts))
    elif most is None:
        allowed = f"at least {least}"
    else:
        allowed = str(least) if least == most else f"{least} to {most}"
    return f"{allowed} argument" + ("" if allowed == "1" else "s")


def _word(node: Node) -> str:
    return "method" if node.type == "method_index_expression" else "event" if _is_connected(node) else "property"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _named(tree: Tree, node: Node) -> str | None:
    found = infer(tree).type_of(node)
    return found.name if found is not None else None
