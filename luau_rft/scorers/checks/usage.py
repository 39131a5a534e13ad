"""What exists is used as it can be: values, arguments, sides."""

import re
from collections.abc import Iterator

from luau_rft.luau.tree import Tree, arguments
from luau_rft.roblox.api import Member, database
from luau_rft.roblox.infer import infer, name_of
from luau_rft.roblox.uses import assignments, services
from luau_rft.scorers.base import Hit

_LUA_LIBRARIES = frozenset(database().libraries) - {"Instance", "task"}


# A script that asks where it runs may well hold code for both sides.
_ASKS_SIDE = re.compile(r":\s*Is(?:Client|Server)\s*\(")


def read_only_member(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for target, member, _ in assignments(tree):
        if member.kind == "property" and member.readonly:
            yield name_of(target), f"{member.owner}.{member.name} cannot be set by a script"
        elif member.kind in ("event", "method"):
            use = "connect to it" if member.kind == "event" else "call it"
            yield (
                name_of(target),
                f"{member.owner}.{member.name} is {_article(member.kind)}: {use} instead of setting it",
            )


def wrong_type(tree: Tree, kind: str | None) -> Iterator[Hit]:
    inference = infer(tree)
    for _, member, value in assignments(tree):
        found = inference.type_of(value)
        if member.kind == "property" and found is not None and not _fits(found.name, member.type):
            yield value, f"{member.name} takes {member.type.rstrip('?')}, not {found.name}"


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


def wrong_side(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if kind not in ("server", "client") or _ASKS_SIDE.search(tree.source):
        return
    inference, api = infer(tree), database()
    elsewhere = {"server": {"client", "plugin"}, "client": {"server", "plugin"}}[kind]
    for node in tree.of("dot_index_expression", "method_index_expression"):
        member = inference.member_of(node)
        if member is not None and (place := "plugin" if member.plugin else member.side) in elsewhere:
            yield name_of(node), f"{member.name} is for a {place}; this script runs on the {kind}"
    for node, name in services(tree):
        entry = api.classes.get(name, {})
        if (place := "plugin" if entry.get("plugin") else entry.get("side")) in elsewhere:
            yield node, f"{name} is for a {place}; this script runs on the {kind}"


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


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
