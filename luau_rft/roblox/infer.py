"""What type an expression has, where that can be told from the text and the Roblox API.

It answers None rather than guess: an instance's children, a script's own tables and modules have no known type.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from luau_rft.luau.scopes import Scopes, Variable, parameter_names, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments
from luau_rft.roblox.api import Database, Member, database

CONNECTING = frozenset({"Connect", "ConnectParallel", "Once", "connect"})
_CLASS_NAMED = frozenset(
    {
        "GetService", "FindService", "FindFirstChildOfClass", "FindFirstChildWhichIsA", "FindFirstAncestorOfClass",
        "FindFirstAncestorWhichIsA",
    }
)  # fmt: skip
_CHILD_NAMED = frozenset({"FindFirstChild", "WaitForChild"})

# Children that every character has: nobody gives these names to anything else.
_CHARACTER = {"Animator": "Animator", "Humanoid": "Humanoid", "HumanoidRootPart": "BasePart"}

_ANNOTATION = re.compile(rb"\s*::?\s*(\{?)\s*([A-Za-z_]\w*(?:\.\w+)?)\b\s*(\}?)\s*\??(?!\s*[|&<.?]|\s*->)")
_OWN_TYPE = re.compile(r"^\s*(?:export\s+)?type\s+(\w+)", re.MULTILINE)
_OPAQUE = frozenset({"any", "table", "function", "()", "nil", "thread"})
_MAX_DEPTH = 60


class Type(NamedTuple):
    """A type as ``luau_rft.roblox.api`` writes it, without "?"; ``exact`` where it cannot be a subclass."""

    name: str
    exact: bool = False

    @property
    def owner(self) -> str:
        """The class or datatype whose members a value of this type has."""
        return "EnumItem" if self.name.startswith("Enum.") else self.name


@lru_cache(maxsize=4)
def infer(tree: Tree) -> "Inference":
    """The inference over ``tree``; the last few are kept."""
    return Inference(tree)


class Inference:
    """Types and members of the expressions of one tree, found on demand."""

    def __init__(self, tree: Tree) -> None:
        self.api: Database = database()
        self.scopes: Scopes = resolve(tree)
        self.own_types = set(_OWN_TYPE.findall(tree.source))
        self.globals: dict[str, list[Node]] = {}
        for node in self.scopes.global_reads:
            self.globals.setdefault(node.text, []).append(node)
        self._global = set(self.scopes.global_reads)
        self._functions = {variable.value: variable for variable in self.scopes.variables if variable.value is not None}
        self._types: dict[Node | Variable, Type | None] = {}
        self._depth = 0

    def type_of(self, node: Node) -> Type | None:
        """The type of an expression, or None."""
        if node in self._types:
            return self._types[node]
        if self._depth >= _MAX_DEPTH:
            return None
        self._types[node] = None  # what an expression that depends on itself sees
        self._depth += 1
        visitor = getattr(self, f"_{node.type}", None)
        self._types[node] = visitor(node) if visitor else None
        self._depth -= 1
        return self._types[node]

    def global_name(self, node: Node | None) -> str | None:
        """The name, where ``node`` is an identifier that no local declares."""
        return node.text if node is not None and node in self._global else None

    def member_of(self, node: Node) -> Member | None:
        """What an index expression reads: ``part.Size``, ``part:Destroy``, ``Vector3.new``. None if not known.

        A receiver known by a superclass only also has what all subclasses that declare the name agree upon.
        """
        owner, name = index_of(node)
        if owner is None or name is None:
            return None
        static = self.global_name(owner)
        if static is not None and self.api.has_statics(static):
            return self.api.static(static, name)
        receiver = self.type_of(owner)
        if receiver is None:
            return None
        if receiver.name == "string":
            return self.api.static("string", name)
        member = self.api.member(receiver.owner, name)
        if member is None and not receiver.exact:
            below = self.api.below(receiver.name, name)
            return below[0] if below and all(_same(below[0], other) for other in below) else None
        return member

    def event_of(self, node: Node) -> Member | None:
        """The event that an expression stands for, a local that holds one included."""
        variable = self.scopes.of.get(node)
        if variable is not None and variable.value is not None and not variable.writes:
            node = variable.value
        member = self.member_of(node) if node.type == "dot_index_expression" else None
        return member if member is not None and member.kind == "event" else None

    # Expressions

    def _identifier(self, node: Node) -> Type | None:
        variable = self.scopes.of.get(node)
        if variable is not None:
            return self._variable(variable)
        member = self.api.global_(node.text) if node in self._global else None
        return _type(member.type) if member is not None and member.kind == "property" else None

    def _string(self, node: Node) -> Type | None:
        return Type("string")

    def _number(self, node: Node) -> Type | None:
        return Type("number")

    def _true(self, node: Node) -> Type | None:
        return Type("boolean")

    _false = _true

    def _parenthesized_expression(self, node: Node) -> Type | None:
        return self.type_of(node.children[0]) if node.children else None

    def _cast_expression(self, node: Node) -> Type | None:
        return self._annotation(node.children[0]) if node.children else None

    def _binary_expression(self, node: Node) -> Type | None:
        left, right = node.get("left"), node.get("right")
        if left is None or right is None:
            return None
        if node.operator in ("==", "~=", "<", ">", "<=", ">="):
            return Type("boolean")
        if node.operator == "..":
            return Type("string")
        a, b = self.type_of(left), self.type_of(right)
        if node.operator == "and":
            return b
        if node.operator == "or" or (node.operator in ("+", "-", "*", "/") and a == b):
            return a if a == b else None
        if node.operator == "*" and a is not None and b is not None:
            return {("CFrame", "Vector3"): b, ("Vector3", "number"): a, ("number", "Vector3"): b}.get((a.name, b.name))
        return None

    def _dot_index_expression(self, node: Node) -> Type | None:
        owner, name = index_of(node)
        if owner is None or name is None:
            return None
        if owner.type == "dot_index_expression" and self.global_name(index_of(owner)[0]) == "Enum":
            return Type(f"Enum.{index_of(owner)[1]}")
        member = self.member_of(node)
        if member is not None:
            return Type("RBXScriptSignal") if member.kind == "event" else self._value(member)
        return self._child(self.type_of(owner), name)

    def _bracket_index_expression(self, node: Node) -> Type | None:
        owner = node.get("table")
        receiver = self.type_of(owner) if owner is not None else None
        return _element(receiver)

    def _function_call(self, node: Node) -> Type | None:
        callee, given = node.get("name"), arguments(node)
        if callee is None:
            return None
        if callee.type == "identifier":
            member = self.api.global_(callee.text) if callee in self._global else None
            return _type(member.returns) if member is not None and member.kind == "function" else None
        owner, name = index_of(callee)
        if owner is None or name is None:
            return None
        literal = string_value(given[0]) if given else None
        if name == "new" and self.global_name(owner) == "Instance":
            return Type(literal, exact=True) if literal is not None and literal in self.api.classes else None
        if callee.type == "method_index_expression":
            special = self._special_method(owner, name, literal)
            if special is not None:
                return special
        member = self.member_of(callee)
        return _type(member.returns) if member is not None and member.kind in ("method", "function") else None

    def _special_method(self, owner: Node, name: str, literal: str | None) -> Type | None:
        """Methods whose result depends on the receiver or on the name that they are given."""
        receiver = self.type_of(owner)
        if name == "Wait" and (event := self.event_of(owner)) is not None:
            return _type(event.params[0][1]) if event.params else None
        if receiver is None or not self.api.is_a(receiver.name, "Object"):
            return None
        if name == "Clone":
            return receiver
        if literal is not None and name in _CLASS_NAMED and literal in self.api.classes:
            return Type(literal)
        if literal is not None and name in _CHILD_NAMED:
            return self._child(receiver, literal)
        return None

    def _child(self, receiver: Type | None, name: str) -> Type | None:
        """What an instance has under a name that is no member of its class: a child."""
        if receiver is None or not self.api.is_a(receiver.name, "Instance"):
            return None
        for current in self.api.ancestry(receiver.name):
            if name in self.api.classes[current].get("children", ()):
                return Type(self.api.classes[current]["children"][name])
        if name in _CHARACTER:
            return Type(_CHARACTER[name])
        if receiver.name == "DataModel" and self.api.service(name):
            return Type(name)
        is_member = self.api.member(receiver.name, name) or self.api.below(receiver.name, name)
        return None if is_member else Type("Instance")

    def _value(self, member: Member) -> Type | None:
        return _type(member.type) if member.kind == "property" else None

    # Variables

    def _variable(self, variable: Variable) -> Type | None:
        if variable not in self._types:
            self._types[variable] = None
            self._types[variable] = self._declared(variable)
        return self._types[variable]

    def _declared(self, variable: Variable) -> Type | None:
        annotated = self._annotation(variable.node)
        if annotated is not None or _has_annotation(variable.node):
            return annotated
        found: list[Type | None] = []
        if variable.kind == "parameter":
            found.append(self._parameter(variable))
        elif variable.kind == "loop":
            found.append(self._loop(variable))
        elif variable.value is not None:
            found.append(self.type_of(variable.value))
        elif variable.kind == "function" or not _is_alone(variable.node):
            return None
        found += [self._written(node) for node in variable.writes]
        types = set(found)
        return found[0] if len(types) == 1 else None

    def _written(self, node: Node) -> Type | None:
        statement = node.parent.parent if node.parent is not None else None
        if statement is None or statement.type != "assignment_statement":
            return None
        targets, values = targets_and_values(statement)
        at = targets.index(node) if node in targets else len(values)
        return self.type_of(values[at]) if at < len(values) else None

    def _annotation(self, node: Node) -> Type | None:
        """The type written after ``node``, where it is one of the platform's and not of the script's own."""
        match = _ANNOTATION.match(node.tree.data, node.end)
        if match is None or bool(match[1]) != bool(match[3]):
            return None
        name = match[2].decode()
        known = name in self.api.classes or name in self.api.datatypes or name in ("string", "number", "boolean")
        known = known or (name.startswith("Enum.") and name[5:] in self.api.enums)
        if not known or name in self.own_types:
            return None
        return Type(f"{{{name}}}" if match[1] else name)

    def _loop(self, variable: Variable) -> Type | None:
        clause = next((node for node in variable.node.ancestors() if node.type == "for_generic_clause"), None)
        if clause is None:
            return Type("number")
        names = [name for part in clause.children if part.type == "variable_list" for name in part.all("name")]
        values = [value for part in clause.children if part.type == "expression_list" for value in part.children]
        if len(values) != 1 or variable.node not in names:
            return None
        iterated = values[0]
        if iterated.type == "function_call" and self.global_name(iterated.get("name")) in ("ipairs", "pairs"):
            iterated = arguments(iterated)[0] if arguments(iterated) else iterated
        element = _element(self.type_of(iterated))
        if element is None:
            return None
        return (Type("number"), element)[names.index(variable.node)] if names.index(variable.node) < 2 else None

    def _parameter(self, variable: Variable) -> Type | None:
        """The type that the platform passes to a function connected to an event or set as a callback."""
        function = next((node for node in variable.node.ancestors() if node.type in FUNCTIONS), None)
        parameters = function.get("parameters") if function is not None else None
        names = parameter_names(parameters) if parameters is not None else []
        if function is None or variable.node not in names:
            return None
        at, types = names.index(variable.node), set()
        for use in self._uses(function):
            member = self._handled(use)
            if member is not None and at < len(member.params) and "..." not in dict(member.params[: at + 1]):
                types.add(_type(member.params[at][1]))
        return types.pop() if len(types) == 1 else None

    def _uses(self, function: Node) -> list[Node]:
        """Where the function itself, or the name that it is declared by, stands as a value."""
        if function in self._functions:
            return self._functions[function].reads
        name = function.get("name") if function.type == "function_declaration" else None
        if name is not None:
            return self.globals.get(name.text, []) if name.type == "identifier" else []
        return [function]

    def _handled(self, use: Node) -> Member | None:
        """The event or callback that the function value at ``use`` handles."""
        parent = use.parent
        if parent is None or parent.parent is None:
            return None
        if parent.type == "arguments":
            owner, name = index_of(parent.parent.get("name"))
            return self.event_of(owner) if owner is not None and name in CONNECTING else None
        if parent.parent.type == "assignment_statement":
            targets, values = targets_and_values(parent.parent)
            target = targets[values.index(use)] if use in values and values.index(use) < len(targets) else None
            member = self.member_of(target) if target is not None else None
            return member if member is not None and member.kind == "callback" else None
        return None


def index_of(node: Node | None) -> tuple[Node | None, str | None]:
    """Receiver and name of ``a.b`` or ``a:b``; a pair of None for anything else."""
    name = name_of(node)
    return (node.get("table"), name.text) if node is not None and name is not None else (None, None)


def name_of(node: Node | None) -> Node | None:
    """Where the name stands in ``a.b`` or ``a:b``."""
    if node is None or node.type not in ("dot_index_expression", "method_index_expression"):
        return None
    return node.get("field") or node.get("method")


def string_value(node: Node) -> str | None:
    """The text of a string literal without escapes, or None."""
    match = re.fullmatch(r"""(["'`])([^"'`\\{]*)\1""", node.text) if node.type == "string" else None
    return match[2] if match else None


def _type(text: str) -> Type | None:
    if text.startswith("("):
        text = re.match(r"\(([^,()]*)", text)[1]  # type: ignore[index]  # of several results the first
    text = text.rstrip("?")
    return None if text in _OPAQUE or not text else Type(text)


def _element(array: Type | None) -> Type | None:
    return _type(array.name[1:-1]) if array is not None and array.name.startswith("{") else None


def _same(a: Member, b: Member) -> bool:
    def facts(m: Member) -> tuple[object, ...]:
        return m.kind, m.type, m.params, m.returns, m.side, m.plugin, m.readonly, m.deprecated is None

    return facts(a) == facts(b)


def _has_annotation(node: Node) -> bool:
    return re.match(rb"\s*:[^:]", node.tree.data[node.end : node.end + 40]) is not None


def _is_alone(node: Node) -> bool:
    """Whether a local without value is declared by itself: ``local a``, not a further result of a call."""
    return node.parent is not None and node.parent.type == "variable_list" and (
        node.parent.parent is None or node.parent.parent.type != "assignment_statement"
    )  # fmt: skip
