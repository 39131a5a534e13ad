"""What the names and expressions of a program stand for, as far as the API database makes it certain.

The mutants are made from this, so it shares nothing with the scorers that they test: no scopes, no inference. It knows
less, which only costs places to mutate: a variable that is ever set again has no type here.
"""

import re
from functools import cache

from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, method
from luau_rft.roblox.api import Member, database

MAX_DEPTH = 20  # expressions that explain one another
_INDEXES = ("dot_index_expression", "method_index_expression", "bracket_index_expression")


class Names:
    """``uses`` lists the places that name a declaration (the declaring identifier), in the order of the text."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.uses: dict[Node, list[Node]] = {}
        self.value: dict[Node, Node] = {}  # what a local starts with
        self._scopes: dict[Node, dict[str, list[tuple[int, Node]]]] = {}  # where each name starts to be visible
        self._of: dict[Node, Node] = {}
        for node in tree.nodes:
            self._declare(node)
        for node in tree.of("identifier"):
            if node not in self.uses and is_name(node) and (declaration := self._find(node)) is not None:
                self._of[node] = declaration
                self.uses[declaration].append(node)

    def declaration(self, name: Node) -> Node | None:
        """The identifier that declares ``name``; None for globals."""
        return self._of.get(name)

    def is_constant(self, declaration: Node) -> bool:
        """Whether the local is never set again."""
        return not any(map(is_target, self.uses[declaration]))

    def type_of(self, node: Node | None, depth: int = 0) -> str | None:
        """The class or datatype of an expression's value; an optional one counts as that which it may be."""
        if node is None or depth > MAX_DEPTH:
            return None
        if node.type == "parenthesized_expression" and node.children:
            return self.type_of(node.children[0], depth + 1)
        if node.type == "cast_expression":
            return self._class(node.text.rpartition("::")[2].strip())
        if node.type == "identifier":
            return self._type_of_name(node, depth)
        if node.type == "function_call":
            if (made := self._made(node)) is not None:
                return made
            called = self.member(node.get("name"), depth)
            return _named(called.returns) if called is not None else None
        member = self.member(node, depth)
        return _named("RBXScriptSignal" if member.kind == "event" else member.type) if member is not None else None

    def member(self, index: Node | None, depth: int = 0) -> Member | None:
        """The member of the database that ``a.b`` or ``a:b`` names, where the type of ``a`` is known."""
        if index is None or index.type not in ("dot_index_expression", "method_index_expression"):
            return None
        owner, name = index.get("table"), index.get("field") or index.get("method")
        if owner is None or name is None:
            return None
        if owner.type == "identifier" and owner not in self._of and database().has_statics(owner.text):
            return database().static(owner.text, name.text)
        found = self.type_of(owner, depth + 1)
        return database().member(found, name.text) if found is not None else None

    def may_be_nil(self, node: Node) -> bool:
        """Whether the database says that this call or property may be nil."""
        if node.type == "function_call":
            member = self.member(node.get("name"))
            return member.returns.endswith("?") if member is not None else method(node) in nil_methods()
        member = self.member(node) if node.type == "dot_index_expression" else None
        return member is not None and member.kind == "property" and member.type.endswith("?")

    def _type_of_name(self, node: Node, depth: int) -> str | None:
        declaration = self._of.get(node)
        if declaration is None:
            member = database().global_(node.text)
            return _named(member.type) if member is not None and member.kind == "property" else None
        if not self.is_constant(declaration):
            return None
        if (value := self.value.get(declaration)) is not None:
            return self.type_of(value, depth + 1)
        return self._annotated(declaration) or self._handed(declaration, depth)

    def _annotated(self, declaration: Node) -> str | None:
        written = re.match(rb"\s*:\s*(\w+)\s*[,)=\n]", self.tree.data[declaration.end : declaration.end + 80])
        return self._class(written[1].decode()) if written else None

    def _class(self, name: str) -> str | None:
        """The name, if it is a class and no type of the file."""
        is_own = re.search(rf"\btype\s+{re.escape(name)}\b", self.tree.source)
        return name if name in database().classes and not is_own else None

    def _handed(self, declaration: Node, depth: int) -> str | None:
        """The type of what an event hands its listener or a loop over a known list its body."""
        parent = declaration.parent
        if parent.type == "parameter":
            function = parent.parent.parent
            call = function.parent.parent if function.parent.type == "arguments" else None
            if call is None or method(call) not in ("Connect", "Once") or arguments(call)[0] is not function:
                return None
            event = self.member(call.get("name").get("table"), depth + 1)
            at = parent.parent.children.index(parent)
            known = event is not None and event.kind == "event" and at < len(event.params)
            return _named(event.params[at][1]) if known else None
        if parent.parent.type != "for_generic_clause" or parent.children.index(declaration) != 1:
            return None
        [listed, *_] = [value for part in parent.parent.children if part is not parent for value in part.children]
        if listed.type == "function_call" and callee(listed) in ("ipairs", "pairs") and arguments(listed):
            listed = arguments(listed)[0]
        member = self.member(listed.get("name"), depth + 1) if listed.type == "function_call" else None
        return _named(member.returns[1:-1]) if member is not None and member.returns.startswith("{") else None

    def _made(self, call: Node) -> str | None:
        """The class that ``game:GetService`` or ``Instance.new`` is asked for."""
        name = literal(arguments(call)[0]) if arguments(call) else None
        index = call.get("name")
        if name is None or index is None or index.type not in _INDEXES:
            return None
        owner = index.get("table")
        if owner is None or owner in self._of:
            return None
        if index.type == "method_index_expression" and callee(call) == "game:GetService" and database().service(name):
            return name
        return name if callee(call) == "Instance.new" and database().creatable(name) else None

    def _declare(self, node: Node) -> None:
        if node.type == "variable_declaration":
            names, values = sides(node)
            for at, name in enumerate(names):
                self._add(node.parent, name, node.end)
                if at < len(values):
                    self.value[name] = values[at]
        elif node.type in FUNCTIONS:
            name, parameters, body = node.get("name"), node.get("parameters"), node.get("body")
            if name is not None and name.type == "identifier" and node.field == "local_declaration":
                self._add(node.parent, name, name.end)
            if body is not None and name is not None and name.type == "method_index_expression":
                self._add(node, name.get("method"), body.start, "self")
            for parameter in parameters.children if body is not None and parameters is not None else ():
                if parameter.children and parameter.children[0].type == "identifier":
                    self._add(node, parameter.children[0], body.start)
        elif node.type == "for_statement" and node.get("clause") is not None and node.get("body") is not None:
            clause = node.get("clause")
            listed = [part for part in clause.children if part.type == "variable_list"]
            for name in (listed[0] if listed else clause).all("name"):
                self._add(node, name, node.get("body").start)

    def _add(self, scope: Node, name: Node, start: int, called: str | None = None) -> None:
        self.uses[name] = []
        # What the body of a repeat declares can be seen in its condition.
        for place in (scope, scope.parent) if scope.parent and scope.parent.type == "repeat_statement" else (scope,):
            self._scopes.setdefault(place, {}).setdefault(called or name.text, []).append((start, name))

    def _find(self, name: Node) -> Node | None:
        text = name.text
        for scope in name.ancestors():
            for start, declaration in reversed(self._scopes.get(scope, {}).get(text, ())):
                if start <= name.start:
                    return declaration
        return None


def is_name(identifier: Node) -> bool:
    """Whether an identifier names a variable, not a member or a key."""
    if identifier.field in ("field", "method"):
        return False
    is_key = identifier.parent.type == "field" and identifier.field == "name"
    return not is_key or identifier.tree.data[identifier.parent.start : identifier.parent.start + 1] == b"["


def is_target(use: Node) -> bool:
    """Whether the variable is set here."""
    return use.field == "name" and use.parent.type in ("variable_list", "function_declaration")


def is_indexed(use: Node) -> bool:
    """Whether a member of the variable's value is asked for here, which fails for nil."""
    return use.field == "table" and use.parent.type in _INDEXES


def sides(statement: Node) -> tuple[list[Node], list[Node]]:
    """What stands on the left and on the right of a declaration or an assignment."""
    parts = statement.children
    if parts and parts[0].type == "assignment_statement":
        parts = parts[0].children
    left = [name for part in parts if part.type == "variable_list" for name in part.all("name")]
    return left, [value for part in parts if part.type == "expression_list" for value in part.children]


def function_around(node: Node) -> Node | None:
    """The innermost function around ``node``; None at the top of the script."""
    return next((above for above in node.ancestors() if above.type in FUNCTIONS), None)


def literal(node: Node) -> str | None:
    """The content of a plain string in quotes."""
    text = node.text if node.type == "string" else ""
    return text[1:-1] if re.fullmatch(r"\"\w*\"|'\w*'", text) else None


@cache
def nil_methods() -> frozenset[str]:
    """Methods that may give nil in every class that has one of that name, so that the receiver does not matter."""
    every: dict[str, bool] = {}
    for entry in database().classes.values():
        for name, member in entry["members"].items():
            every[name] = every.get(name, True) and member.get("returns", "").endswith("?")
    return frozenset(name for name, is_nil in every.items() if is_nil)


def _named(type_name: str) -> str | None:
    name = type_name.removesuffix("?")
    return name if name in database().classes or name in database().datatypes else None
