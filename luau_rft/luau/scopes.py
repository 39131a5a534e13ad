"""Which declaration each name of a syntax tree belongs to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from luau_rft.luau.tree import FUNCTIONS, Node, Tree


@dataclass(eq=False, slots=True)
class Variable:
    """A local: ``kind`` is local, function, parameter or loop; ``node`` the identifier that declares it.

    ``value`` is the expression it starts with (for a function the whole declaration), if there is one.
    """

    name: str
    node: Node
    kind: str
    value: Node | None = None
    shadows: "Variable | None" = None
    reads: list[Node] = field(default_factory=list)
    writes: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Scopes:
    """All locals in the order of the text, the local behind each identifier that names one, and the other names."""

    variables: list[Variable] = field(default_factory=list)
    of: dict[Node, Variable] = field(default_factory=dict)
    global_reads: list[Node] = field(default_factory=list)
    global_writes: list[Node] = field(default_factory=list)


@lru_cache(maxsize=4)
def resolve(tree: Tree) -> Scopes:
    """Resolve every name of ``tree``.

    >>> from luau_rft.luau.tree import parse
    >>> [variable.name for variable in resolve(parse("local a = b for i = 1, a do end")).variables]
    ['a', 'i']
    """
    return _Resolver().run(tree.root)


class _Resolver:
    """Visits nodes from a stack of pending steps, so that deep nesting cannot exhaust Python's own stack."""

    def __init__(self) -> None:
        self.result = Scopes()
        self.scopes: list[dict[str, Variable]] = []
        self.steps: list[Callable[[], None]] = []

    def run(self, root: Node) -> Scopes:
        self._then(self._in_scope(*root.children))
        while self.steps:
            self.steps.pop()()
        return self.result

    def _then(self, steps: "list[Callable[[], None]]") -> None:
        self.steps.extend(reversed(steps))

    def _in_scope(self, *nodes: Node | None) -> "list[Callable[[], None]]":
        return [self._open, *self._visits(*nodes), self._close]

    def _visits(self, *nodes: Node | None) -> "list[Callable[[], None]]":
        return [lambda node=node: self._visit(node) for node in nodes if node is not None]

    def _open(self) -> None:
        self.scopes.append({})

    def _close(self) -> None:
        self.scopes.pop()

    def _declare(self, node: Node, kind: str, value: Node | None = None, called: str | None = None) -> None:
        name = called or node.text
        variable = Variable(name, node, kind, value, self._find(name))
        self.result.variables.append(variable)
        self.result.of[node] = variable
        self.scopes[-1][variable.name] = variable

    def _find(self, name: str) -> Variable | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def _use(self, node: Node, write: bool) -> None:
        variable = self._find(node.text)
        if variable is None:
            (self.result.global_writes if write else self.result.global_reads).append(node)
        else:
            self.result.of[node] = variable
            (variable.writes if write else variable.reads).append(node)

    def _visit(self, node: Node) -> None:
        if node.type == "identifier":
            self._use(node, write=False)
        elif visitor := getattr(self, f"_{node.type}", None):
            visitor(node)
        else:
            self._then(self._visits(*node.children))

    def _block(self, node: Node) -> None:
        self._then(self._in_scope(*node.children))

    def _repeat_statement(self, node: Node) -> None:
        body = node.get("body")  # its locals are visible in the condition
        self._then(self._in_scope(*(body.children if body else ()), node.get("condition")))

    def _variable_declaration(self, node: Node) -> None:
        names, values = targets_and_values(node)

        def declare() -> None:
            for i, name in enumerate(names):
                self._declare(name, "local", values[i] if i < len(values) else None)

        self._then([*self._visits(*values), declare])

    def _assignment_statement(self, node: Node) -> None:
        targets, values = targets_and_values(node)
        names = [target for target in targets if target.type == "identifier"]
        places = [target for target in targets if target.type != "identifier"]

        def write() -> None:
            for name in names:
                self._use(name, write=True)

        self._then([*self._visits(*values, *places), write])

    def _function_declaration(self, node: Node) -> None:
        name = node.get("name")
        if name is not None and name.type == "identifier":
            if node.field == "local_declaration":
                self._declare(name, "function", node)
            else:
                self._use(name, write=True)
        places = [name] if name is not None and name.type != "identifier" else []
        self._then([*self._visits(*places), lambda: self._function_definition(node)])

    def _function_definition(self, node: Node) -> None:
        name, parameters = node.get("name"), node.get("parameters")

        def declare() -> None:
            if name is not None and name.type == "method_index_expression":
                self._declare(name, "parameter", called="self")
            for parameter in parameter_names(parameters) if parameters else ():
                self._declare(parameter, "parameter")

        self._then([self._open, declare, *self._visits(node.get("body")), self._close])

    def _for_statement(self, node: Node) -> None:
        clause, body = node.get("clause"), node.get("body")
        if clause is None:
            return self._then(self._visits(*node.children))
        names = [child for child in clause.children if child.type == "variable_list"]
        names = names[0].all("name") if names else clause.all("name")
        values = [child for child in clause.children if child.type != "variable_list" and child not in names]

        def declare() -> None:
            for name in names:
                self._declare(name, "loop")

        return self._then([*self._visits(*values), self._open, declare, *self._visits(body), self._close])

    def _dot_index_expression(self, node: Node) -> None:
        self._then(self._visits(node.get("table")))

    _method_index_expression = _dot_index_expression

    def _field(self, node: Node) -> None:
        name = node.get("name")
        is_computed = name is not None and node.tree.data[node.start : node.start + 1] == b"["
        self._then(self._visits(name if is_computed else None, node.get("value")))

    def _type_definition(self, node: Node) -> None:
        pass


def targets_and_values(node: Node) -> tuple[list[Node], list[Node]]:
    """The left and the right side of a local declaration, an assignment or an update such as ``+=``."""
    lists = node.children
    if node.type == "variable_declaration" and lists and lists[0].type == "assignment_statement":
        lists = lists[0].children
    left = [child for part in lists if part.type == "variable_list" for child in part.all("name")]
    right = [child for part in lists if part.type == "expression_list" for child in part.children]
    return left, right


def parameter_names(parameters: Node) -> list[Node]:
    """The identifiers of a parameter list, ``...`` left out."""
    parts = [part.children[0] if part.type == "parameter" and part.children else part for part in parameters.children]
    return [part for part in parts if part.type == "identifier"]


def function_of(node: Node) -> Node | None:
    """The innermost function around ``node``, or None at the top of the script."""
    return next((ancestor for ancestor in node.ancestors() if ancestor.type in FUNCTIONS), None)
