"""What is written of types in the database and in programs, and what follows from it."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from luau_rft.luau.tree import Node, Tree, fact
from luau_rft.roblox.api import Member, database

_ANNOTATION = re.compile(rb"\s*::?\s*(\{?)\s*([A-Za-z_]\w*(?:\.\w+)?)\b\s*(\}?)\s*\??(?!\s*[|&<.?]|\s*->)")
_OWN_TYPE = re.compile(r"^\s*(?:export\s+)?type\s+(\w+)", re.MULTILINE)
_OPAQUE = frozenset({"any", "table", "function", "()", "nil", "thread"})
_PLAIN = frozenset({"string", "number", "boolean"})

# Types of arithmetic on unlike or one-sided operands; on two numbers or two vectors it keeps the type.
_ARITHMETIC = {
    ("*", "CFrame", "Vector3"): "Vector3",
    ("+", "CFrame", "Vector3"): "CFrame",
    ("-", "CFrame", "Vector3"): "CFrame",
    ("*", "CFrame", "CFrame"): "CFrame",
    ("+", "UDim2", "UDim2"): "UDim2",
    ("-", "UDim2", "UDim2"): "UDim2",
}
for _vector in ("Vector2", "Vector3"):
    for _operator in "+-*/":
        _ARITHMETIC[_operator, _vector, _vector] = _vector
    _ARITHMETIC["*", "number", _vector] = _ARITHMETIC["*", _vector, "number"] = _vector
    _ARITHMETIC["/", _vector, "number"] = _vector
for _operator in ("+", "-", "*", "/", "//", "%", "^"):
    _ARITHMETIC[_operator, "number", "number"] = "number"


class Type(NamedTuple):
    """A type as ``luau_rft.roblox.api`` writes it, without "?"; ``exact`` where it cannot be a subclass.

    ``claimed`` where only a cast says so, perhaps to quiet the type checker about what may be another class.

    Besides, "Enums" is that of ``Enum`` and "enum NAME" that of ``Enum.NAME``.
    """

    name: str
    exact: bool = False
    claimed: bool = False

    @property
    def owner(self) -> str:
        """The class or datatype whose members a value of this type has."""
        return "EnumItem" if self.name.startswith("Enum.") else "Enum" if self.enum else self.name

    @property
    def enum(self) -> str | None:
        """NAME of ``Enum.NAME`` itself."""
        return self.name[5:] if self.name.startswith("enum ") else None


class Index(NamedTuple):
    """``owner.name`` or ``owner:name``; ``at`` is where the name stands."""

    node: Node
    owner: Node
    name: str
    at: Node

    @property
    def is_method(self) -> bool:
        return self.node.type == "method_index_expression"


class Use(NamedTuple):
    """An index of something known: of the name of a library or datatype, or of a value of a known type.

    ``member`` is None where that has nothing of the name, or where what it has cannot be told.
    """

    index: Index
    static: str | None
    receiver: Type | None
    member: Member | None


def index_of(node: Node) -> Index | None:
    """``node`` as an index, where it is a whole one."""
    owner = at = None
    for child in node.children:
        if child.field == "table":
            owner = child
        elif child.field in ("field", "method"):
            at = child
    return Index(node, owner, at.text, at) if owner is not None and at is not None else None


def string_value(node: Node) -> str | None:
    """The text of a string literal without escapes, or None."""
    match = re.fullmatch(r"""(["'`])([^"'`\\{]*)\1""", node.text) if node.type == "string" else None
    return match[2] if match else None


def type_of_text(text: str) -> Type | None:
    """A type of the database; None where it is open."""
    if text.startswith("("):
        text = re.match(r"\(([^,()]*)", text)[1]  # type: ignore[index]  # of several results the first
    text = text.rstrip("?")
    return None if text in _OPAQUE or not text else Type(text)


def value_of(member: Member) -> Type | None:
    """The type of what is read from a property or an event."""
    if member.kind == "event":
        return Type("RBXScriptSignal")
    return type_of_text(member.type) if member.kind == "property" else None


def element_of(array: Type | None) -> Type | None:
    """The type of an array's elements."""
    return type_of_text(array.name[1:-1]) if array is not None and array.name.startswith("{") else None


def are_alike(a: Member, b: Member) -> bool:
    """Whether two members of one name can be used in the same ways."""

    def facts(m: Member) -> tuple[object, ...]:
        return m.kind, m.type, m.params, m.returns, m.side, m.plugin, m.readonly, m.deprecated is None

    return facts(a) == facts(b)


def join(types: Iterable[Type | None]) -> Type | None:
    """The type of what has one of these types; None if one is not known or they have nothing in common."""
    api = database()
    joined: Type | None = None
    for other in types:
        if other is None:
            return None
        if joined is None or joined == other:
            joined = other
        elif joined.name in api.classes and other.name in api.classes:
            common = (c for c in api.ancestry(joined.name) if api.is_a(other.name, c))
            joined = Type(next(common, "Object"))
        else:
            return None
    return joined


def calculated(operator: str | None, a: Type | None, b: Type | None) -> Type | None:
    """The type of an arithmetic expression."""
    result = _ARITHMETIC.get((operator or "", a.name, b.name)) if a is not None and b is not None else None
    return Type(result) if result is not None else None


def has_annotation(tree: Tree, end: int) -> bool:
    """Whether a type is written after offset ``end``, other than ``any``, which says nothing."""
    return re.match(rb"\s*:[^:]", tree.data[end : end + 40]) is not None and not is_any(tree, end)


def is_any(tree: Tree, end: int) -> bool:
    """Whether ``: any`` or ``:: any`` is written after offset ``end``."""
    return re.match(rb"\s*::?\s*any\b", tree.data[end : end + 40]) is not None


def annotation(tree: Tree, end: int) -> Type | None:
    """The type written after offset ``end``, where it is one of the platform's and not of the script's own."""
    api = database()
    match = _ANNOTATION.match(tree.data, end)
    if match is None or bool(match[1]) != bool(match[3]):
        return None
    name = match[2].decode()
    known = name in api.classes or name in api.datatypes or name in _PLAIN
    known = known or (name.startswith("Enum.") and name[5:] in api.enums)
    if not known or name in _own_types(tree):
        return None
    return Type(f"{{{name}}}" if match[1] else name)


@fact
def _own_types(tree: Tree) -> frozenset[str]:
    return frozenset(_OWN_TYPE.findall(tree.source))
