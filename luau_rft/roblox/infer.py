"""What type an expression has, where that can be told from the text and the Roblox API.

It answers None rather than guess: an instance's children, a script's own tables and modules have no known type.
"""

import re
from functools import cached_property

from luau_rft.luau.scopes import Scopes, Variable, function_of, parameter_names, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, fact
from luau_rft.roblox.api import Database, Member, database
from luau_rft.roblox.narrow import narrowings
from luau_rft.roblox.types import (
    Type,
    Use,
    annotation,
    are_alike,
    calculated,
    element_of,
    has_annotation,
    index_of,
    is_any,
    join,
    string_value,
    type_of_text,
    value_of,
)  # fmt: skip

CONNECTING = frozenset({"Connect", "ConnectParallel", "Once", "connect"})
_CLASS_NAMED = frozenset(
    {
        "GetService", "FindService", "FindFirstChildOfClass", "FindFirstChildWhichIsA", "FindFirstAncestorOfClass",
        "FindFirstAncestorWhichIsA",
    }
)  # fmt: skip
_CHILD_NAMED = frozenset({"FindFirstChild", "WaitForChild"})
# Methods that give a signal, with what its listeners get.
_SIGNALS = {
    "GetInstanceAddedSignal": (("instance", "Instance"),),
    "GetInstanceRemovedSignal": (("instance", "Instance"),),
    "GetPropertyChangedSignal": (),
    "GetAttributeChangedSignal": (),
}
# Functions that call their first argument with the others.
_CALLING = frozenset({"task.spawn", "task.defer", "spawn", "pcall"})

# Children that every character has: nobody gives these names to anything else.
_CHARACTER = {"Animator": "Animator", "Humanoid": "Humanoid", "HumanoidRootPart": "BasePart"}

_MAX_DEPTH = 60


@fact
def infer(tree: Tree) -> "Inference":
    """The inference over ``tree``; it is kept in the tree."""
    return Inference(tree)


class Inference:
    """Types and members of the expressions of one tree, found on demand."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.api: Database = database()
        self.scopes: Scopes = resolve(tree)
        self.indexes = {index.node: index for node in tree.of(*_INDEXES) if (index := index_of(node)) is not None}
        self._global = frozenset(self.scopes.global_reads)
        self._functions = {variable.value: variable for variable in self.scopes.variables if variable.value is not None}
        self._types: dict[Node | Variable, Type | None] = {}
        self._depth = 0

    @cached_property
    def uses(self) -> list[Use]:
        """Every index of something known, in the order of the text: what all rules about members look at."""
        found = []
        for index in self.indexes.values():
            static = self._static(index.owner)
            if static is not None:
                found.append(Use(index, static, None, self.api.static(static, index.name)))
            elif (receiver := self.type_of(index.owner)) is not None:
                found.append(Use(index, None, receiver, self.member(receiver, index.name)))
        return found

    @cached_property
    def members(self) -> dict[Node, Member]:
        """The known member that an index expression stands for."""
        return {use.index.node: use.member for use in self.uses if use.member is not None}

    def type_of(self, node: Node) -> Type | None:
        """The type of an expression, or None."""
        if node.type == "identifier":
            return self._identifier(node)
        if node in self._types:
            return self._types[node]
        visitor = _VISITORS.get(node.type)
        if visitor is None or self._depth >= _MAX_DEPTH:
            return None
        self._types[node] = None  # what an expression that depends on itself sees
        self._depth += 1
        self._types[node] = visitor(self, node)
        self._depth -= 1
        return self._types[node]

    def global_name(self, node: Node | None) -> str | None:
        """The name, where ``node`` is an identifier that no local declares, or a local that only renames one."""
        if node is None or node.type != "identifier":
            return None
        variable = self.scopes.of.get(node)
        if variable is not None and variable.value is not None and not variable.writes:
            node = variable.value
        return node.text if node in self._global else None

    def member_of(self, node: Node) -> Member | None:
        """What an index expression reads: ``part.Size``, ``part:Destroy``, ``Vector3.new``. None if not known."""
        index = self.indexes.get(node)
        if index is None:
            return None
        static = self._static(index.owner)
        if static is not None:
            return self.api.static(static, index.name)
        receiver = self.type_of(index.owner)
        return self.member(receiver, index.name) if receiver is not None else None

    def member(self, receiver: Type, name: str) -> Member | None:
        """A member by name. A receiver known by a superclass has what all subclasses that declare it agree upon."""
        if receiver.name == "string":
            return self.api.static("string", name)
        member = self.api.member(receiver.owner, name)
        if member is None and not receiver.exact:
            below = self.api.below(receiver.name, name)
            return below[0] if below and all(are_alike(below[0], other) for other in below) else None
        return member

    def event_of(self, node: Node) -> Member | None:
        """The event that an expression stands for, a local that holds one included."""
        variable = self.scopes.of.get(node)
        if variable is not None and variable.value is not None and not variable.writes:
            node = variable.value
        if node.type == "function_call":
            index = self.indexes.get(node.get("name"))  # type: ignore[arg-type]
            params = _SIGNALS.get(index.name) if index is not None else None
            return Member(index.name, "", "event", params=params) if index is not None and params is not None else None
        member = self.member_of(node) if node.type == "dot_index_expression" else None
        return member if member is not None and member.kind == "event" else None

    def literal(self, node: Node) -> str | None:
        """The text of a string literal without escapes, or of a local that is one, or None."""
        variable = self.scopes.of.get(node)
        if variable is not None and variable.value is not None and not variable.writes:
            node = variable.value
        return string_value(node)

    def _static(self, owner: Node) -> str | None:
        """The library or datatype that ``owner`` names."""
        name = self.global_name(owner)
        return name if name is not None and self.api.has_statics(name) else None

    # Expressions

    def _identifier(self, node: Node) -> Type | None:
        variable = self.scopes.of.get(node)
        if variable is None:
            return self._global_type(node.text) if node in self._global else None
        found = self._variable(variable)
        for start, end, name in self._narrowings.get(variable, ()):
            if start <= node.start < end and not (found is not None and self.api.is_a(found.name, name)):
                found = Type(name)
        return found

    def _global_type(self, name: str) -> Type | None:
        member = self.api.global_(name)
        if name == "Enum":
            return Type("Enums")
        return type_of_text(member.type) if member is not None and member.kind == "property" else None

    @cached_property
    def _narrowings(self) -> dict[Variable, list[tuple[int, int, str]]]:
        return narrowings(self.tree)

    def _parenthesized_expression(self, node: Node) -> Type | None:
        return self.type_of(node.children[0]) if node.children else None

    def _cast_expression(self, node: Node) -> Type | None:
        if not node.children:
            return None
        known = self.type_of(node.children[0])
        if is_any(self.tree, node.children[0].end):
            return known
        found = annotation(self.tree, node.children[0].end)
        return found and found._replace(claimed=known is None)

    def _unary_expression(self, node: Node) -> Type | None:
        if node.operator != "-":
            return Type("boolean" if node.operator == "not" else "number")
        operand = node.get("operand")
        return self.type_of(operand) if operand is not None else None

    def _binary_expression(self, node: Node) -> Type | None:
        left, right = node.get("left"), node.get("right")
        if left is None or right is None:
            return None
        if node.operator in ("==", "~=", "<", ">", "<=", ">="):
            return Type("boolean")
        if node.operator == "..":
            return Type("string")
        b = self.type_of(right)
        if node.operator == "and":
            return b
        a = self.type_of(left)
        if node.operator == "or":
            return a if right.type == "nil" else join((a, b))
        return calculated(node.operator, a, b)

    def _if_expression(self, node: Node) -> Type | None:
        parts = [node, *(child for child in node.children if child.type in ("elseif_clause", "else_clause"))]
        values = [value for part in parts if (value := part.get("consequence")) is not None]
        return join(self.type_of(value) for value in values if value.type != "nil")

    def _dot_index_expression(self, node: Node) -> Type | None:
        index = self.indexes.get(node)
        if index is None:
            return None
        static = self._static(index.owner)
        if static is not None:
            member = self.api.static(static, index.name)
            return value_of(member) if member is not None else None
        receiver = self.type_of(index.owner)
        if receiver is None:
            return self._field(index.name) if _is_self(index.owner) else None
        if receiver.name == "Enums":
            return Type(f"enum {index.name}")
        member = self.member(receiver, index.name)
        if receiver.enum and member is None:
            return Type(f"Enum.{receiver.enum}")
        return value_of(member) if member is not None else self._child(receiver, index.name)

    def _bracket_index_expression(self, node: Node) -> Type | None:
        owner = node.get("table")
        receiver = self.type_of(owner) if owner is not None else None
        return element_of(receiver)

    def _function_call(self, node: Node) -> Type | None:
        callee, given = node.get("name"), arguments(node)
        if callee is not None and callee.type == "identifier":
            variable = self.scopes.of.get(callee)
            if variable is None:
                member = self.api.global_(callee.text) if callee in self._global else None
                return type_of_text(member.returns) if member is not None and member.kind == "function" else None
            if variable.value is None or variable.writes:
                return None
            if variable.value.type in FUNCTIONS:
                return self._returned(variable.value)
            callee = variable.value
        index = self.indexes.get(callee) if callee is not None else None
        if index is None:
            return None
        literal = self.literal(given[0]) if given else None
        if index.name == "new" and self.global_name(index.owner) == "Instance":
            if literal is None:
                return Type("Instance") if given else None
            return Type(literal, exact=True) if literal in self.api.classes else None
        if index.is_method:
            special = self._special_method(index.owner, index.name, literal)
            if special is not None:
                return special
        member = self.member_of(index.node)
        return type_of_text(member.returns) if member is not None and member.kind in ("method", "function") else None

    def _special_method(self, owner: Node, name: str, literal: str | None) -> Type | None:
        """Methods whose result depends on the receiver or on the name that they are given."""
        if name == "Wait" and (event := self.event_of(owner)) is not None:
            return type_of_text(event.params[0][1]) if event.params else None
        if name != "Clone" and (literal is None or name not in _CLASS_NAMED | _CHILD_NAMED):
            return None
        receiver = self.type_of(owner)
        if literal is not None and name in _CLASS_NAMED - {"GetService"} and literal in self.api.classes:
            return Type(literal)  # a receiver that has such a method is an instance, known or not
        if receiver is None or not self.api.is_a(receiver.name, "Object"):
            return None
        if name == "Clone":
            return receiver
        if literal is not None and name in _CLASS_NAMED and literal in self.api.classes:
            return Type(literal)
        return self._child(receiver, literal) if literal is not None and name in _CHILD_NAMED else None

    def _child(self, receiver: Type, name: str) -> Type | None:
        """What an instance has under a name that is no member of its class: a child."""
        if not self.api.is_a(receiver.name, "Instance"):
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

    def _returned(self, function: Node) -> Type | None:
        """The first result of a function of the script."""
        parameters = function.get("parameters")
        if parameters is not None and has_annotation(self.tree, parameters.end):
            return annotation(self.tree, parameters.end)
        if function in self._types:
            return self._types[function]
        self._types[function] = None
        results = [value for value in self._results.get(function, ()) if value.type != "nil"]
        self._types[function] = join(self.type_of(value) for value in results)
        return self._types[function]

    @cached_property
    def _results(self) -> dict[Node, list[Node]]:
        """The first value of each ``return`` that gives one, by its function."""
        found: dict[Node, list[Node]] = {}
        for statement in self.tree.of("return_statement"):
            function = function_of(statement)
            values = [value for part in statement.children for value in part.children]
            if function is not None and values:
                found.setdefault(function, []).append(values[0])
        return found

    # The script's own fields: self.part

    def _field(self, name: str) -> Type | None:
        values = self._fields.get(name)
        return join(self.type_of(value) for value in values if value.type != "nil") if values else None

    @cached_property
    def _fields(self) -> dict[str, list[Node]]:
        """All values that fields of the script's own tables are given, by the fields' names."""
        found: dict[str, list[Node]] = {}
        for statement in self.tree.of("assignment_statement"):
            targets, values = targets_and_values(statement)
            for at, target in enumerate(targets):
                index = self.indexes.get(target)
                if index is not None and index.owner.type == "identifier":
                    found.setdefault(index.name, []).append(values[at] if at < len(values) else target)
        for field in self.tree.of("field"):
            name, value = field.get("name"), field.get("value")
            if name is not None and value is not None and name.type == "identifier":
                found.setdefault(name.text, []).append(value)
        return found

    # Variables

    def _variable(self, variable: Variable) -> Type | None:
        if variable not in self._types:
            if self._depth >= _MAX_DEPTH:
                return None
            self._types[variable] = None
            self._depth += 1
            self._types[variable] = self._declared(variable)
            self._depth -= 1
        return self._types[variable]

    def _declared(self, variable: Variable) -> Type | None:
        if has_annotation(self.tree, variable.node.end):
            written = annotation(self.tree, variable.node.end)
            given = self.type_of(variable.value) if written is not None and variable.value is not None else None
            # What GetService is asked for is certain, whatever is written.
            return given if given is not None and self.api.service(given.name) else written
        found: list[Type | None] = []
        if variable.kind == "parameter":
            found.append(self._parameter(variable))
        elif variable.kind == "loop":
            found.append(self._loop(variable))
        elif variable.kind == "function":
            return None
        elif variable.value is not None:
            if variable.value.type != "nil":
                found.append(self.type_of(variable.value))
        elif not _is_alone(variable.node):
            found.append(self._further(variable.node))
        if found != [None]:
            found += [self._written(node) for node in variable.writes if not _is_set_to_nil(node)]
        return join(found)

    def _written(self, node: Node) -> Type | None:
        statement = node.parent.parent if node.parent is not None else None
        if statement is None or statement.type != "assignment_statement":
            return None
        targets, values = targets_and_values(statement)
        at = targets.index(node) if node in targets else len(values)
        return self.type_of(values[at]) if at < len(values) else None

    def _further(self, node: Node) -> Type | None:
        """A local that takes a further result of a call: ``local frame, size = model:GetBoundingBox()``."""
        targets, values = targets_and_values(node.parent.parent)  # type: ignore[union-attr, arg-type]
        if not values or values[-1].type != "function_call" or node not in targets:
            return None
        member = self.member_of(values[-1].get("name"))  # type: ignore[arg-type]
        results = re.findall(r"[^,()]+", member.returns) if member is not None and member.returns[0] == "(" else []
        at = targets.index(node) - len(values) + 1
        return type_of_text(results[at].strip()) if 0 <= at < len(results) else None

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
        element = element_of(self.type_of(iterated))
        if element is None:
            return None
        return (Type("number"), element)[names.index(variable.node)] if names.index(variable.node) < 2 else None

    def _parameter(self, variable: Variable) -> Type | None:
        """The type that the platform, or the script itself where it is the only caller, passes to a function."""
        function = function_of(variable.node)
        parameters = function.get("parameters") if function is not None else None
        names = parameter_names(parameters) if parameters is not None else []
        if function is None or variable.node not in names:
            return None
        at, handled, passed = names.index(variable.node), set(), []
        for use in self._references(function):
            member = self._handled(use)
            if member is None:
                passed.append(self._passed(use, at))
            elif at < len(member.params) and "..." not in dict(member.params[: at + 1]):
                handled.add(type_of_text(member.params[at][1]))
        if handled:
            return handled.pop() if len(handled) == 1 else None
        return join(passed)

    def _references(self, function: Node) -> list[Node]:
        """Where the function itself, or the name that it is declared by, stands as a value."""
        if function in self._functions:
            return self._functions[function].reads
        name = function.get("name") if function.type == "function_declaration" else None
        if name is not None:
            return self._global_reads.get(name.text, []) if name.type == "identifier" else []
        return [function]

    @cached_property
    def _global_reads(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.scopes.global_reads:
            found.setdefault(node.text, []).append(node)
        return found

    def _passed(self, use: Node, at: int) -> Type | None:
        """The type of argument ``at``, where the function value at ``use`` is called."""
        call = use.parent
        if call is None:
            return None
        if call.type == "arguments" and call.parent is not None:
            call, at = call.parent, at + 1
            name = call.get("name")
            if name is None or name.end - name.start > 20 or name.text not in _CALLING or arguments(call)[0] is not use:
                return None
        elif call.type != "function_call" or use.field != "name":
            return None
        given = arguments(call)
        return self.type_of(given[at]) if at < len(given) else None

    def _handled(self, use: Node) -> Member | None:
        """The event or callback that the function value at ``use`` handles."""
        parent = use.parent
        if parent is None or parent.parent is None:
            return None
        if parent.type == "arguments":
            index = self.indexes.get(parent.parent.get("name"))  # type: ignore[arg-type]
            return self.event_of(index.owner) if index is not None and index.name in CONNECTING else None
        if parent.parent.type == "assignment_statement":
            targets, values = targets_and_values(parent.parent)
            target = targets[values.index(use)] if use in values and values.index(use) < len(targets) else None
            member = self.member_of(target) if target is not None else None
            return member if member is not None and member.kind == "callback" else None
        return None


_INDEXES = ("dot_index_expression", "method_index_expression")
_VISITORS = {
    "parenthesized_expression": Inference._parenthesized_expression,
    "cast_expression": Inference._cast_expression,
    "unary_expression": Inference._unary_expression,
    "binary_expression": Inference._binary_expression,
    "if_expression": Inference._if_expression,
    "dot_index_expression": Inference._dot_index_expression,
    "bracket_index_expression": Inference._bracket_index_expression,
    "function_call": Inference._function_call,
    "string": lambda _, __: Type("string"),
    "number": lambda _, __: Type("number"),
    "true": lambda _, __: Type("boolean"),
    "false": lambda _, __: Type("boolean"),
}


def _is_self(node: Node) -> bool:
    return node.type == "identifier" and node.text == "self"


def _is_set_to_nil(node: Node) -> bool:
    statement = node.parent.parent if node.parent is not None else None
    if statement is None or statement.type != "assignment_statement":
        return False
    targets, values = targets_and_values(statement)
    return node in targets and targets.index(node) < len(values) and values[targets.index(node)].type == "nil"


def _is_alone(node: Node) -> bool:
    """Whether a local without value is declared by itself: ``local a``, not a further result of a call."""
    return node.parent is not None and node.parent.type == "variable_list" and (
        node.parent.parent is None or node.parent.parent.type != "assignment_statement"
    )  # fmt: skip
