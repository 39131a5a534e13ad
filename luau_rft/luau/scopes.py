"""Which declaration each name of a syntax tree belongs to."""

from collections.abc import Callable
from dataclasses import dataclass, field

from luau_rft.luau.tree import FUNCTIONS, Node, Tree, fact


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


@fact
def resolve(tree: Tree) -> Scopes:
    """Resolve every name of ``tree``; the target of ``+=`` is both read and written.

    >>> from luau_rft.luau.tree import parse
    >>> [variable.name for variable in resolve(parse("local a = b for i = 1, a do end")).variables]
    ['a', 'i']
    """
    return _Resolver(tree).result


class _Resolver:
    """Goes through the text once; what happens at the end of a statement or scope waits on a stack until then."""

    def __init__(self, tree: Tree) -> None:
        self.result = Scopes()
        self.visible: dict[str, Variable | None] = {}
        self.hidden: list[list[tuple[str, Variable | None]]] = [[]]  # what each open scope hides, to be restored
        self.waiting: list[tuple[int, Callable[[], None]]] = []  # byte offset and what to do there
        visitors = {
            "identifier": self._identifier,
            "block": self._block,
            "variable_declaration": self._local,
            "for_statement": self._for,
            "function_declaration": self._function,
            "function_definition": self._function,
        }
        waiting = self.waiting
        for node in tree.of(*visitors):
            while waiting and waiting[-1][0] <= node.start:
                waiting.pop()[1]()
            visitors[node.type](node)
        while waiting:
            waiting.pop()[1]()

    def _open(self, end: int) -> None:
        self.hidden.append([])
        self.waiting.append((end, self._close))

    def _close(self) -> None:
        for name, variable in reversed(self.hidden.pop()):
            self.visible[name] = variable

    def _declare(self, node: Node, kind: str, value: Node | None = None, called: str | None = None) -> None:
        name = called or node.text
        outer = self.visible.get(name)
        variable = Variable(name, node, kind, value, outer)
        self.hidden[-1].append((name, outer))
        self.visible[name] = variable
        self.result.variables.append(variable)
        self.result.of[node] = variable

    def _block(self, node: Node) -> None:
        parent = node.parent
        # The locals of a repeat loop are visible in its condition.
        self._open(parent.end if parent is not None and parent.type == "repeat_statement" else node.end)

    def _local(self, node: Node) -> None:
        names, values = targets_and_values(node)

        def declare() -> None:
            for i, name in enumerate(names):
                self._declare(name, "local", values[i] if i < len(values) else None)

        self.waiting.append((node.end, declare))

    def _for(self, node: Node) -> None:
        clause = node.get("clause")
        names = loop_names(node)
        if clause is None or not names:
            return

        def enter() -> None:
            self._open(node.end)
            for name in names:
                self._declare(name, "loop")

        self.waiting.append((clause.end, enter))

    def _function(self, node: Node) -> None:
        name = node.get("name")
        if name is not None and name.type == "identifier" and node.field == "local_declaration":
            self._declare(name, "function", node)
        self._open(node.end)
        if name is not None and name.type == "method_index_expression":
            self.waiting.append((name.end, lambda: self._declare(name, "parameter", called="self")))

    def _identifier(self, node: Node) -> None:
        reads, writes = _role(node)
        if reads is None:
            self._declare(node, "parameter")
            return
        variable = self.visible.get(node.text) if reads or writes else None
        if variable is not None:
            self.result.of[node] = variable
        if reads:
            (self.result.global_reads if variable is None else variable.reads).append(node)
        if writes:
            (self.result.global_writes if variable is None else variable.writes).append(node)


def _role(node: Node) -> tuple[bool | None, bool]:
    """Whether an identifier reads and whether it writes a variable; None for reads where it declares a parameter."""
    parent = node.parent
    if parent is None:
        return True, False
    match parent.type:
        case "dot_index_expression" | "method_index_expression":
            return node.field == "table", False
        case "field":
            is_name = node.field == "name" and parent.tree.data[parent.start : parent.start + 1] != b"["
            return not is_name, False
        case "parameters":
            return None, False
        case "parameter":
            return (None if node is parent.children[0] else True), False
        case "function_declaration":
            return False, node.field == "name" and parent.field != "local_declaration"
        case "for_numeric_clause":
            return node.field != "name", False
        case "variable_list":
            statement = parent.parent
            if statement is not None and statement.type == "update_statement":
                return True, True
            is_assigned = statement is not None and statement.type == "assignment_statement"
            is_local = is_assigned and statement.parent is not None and statement.parent.type == "variable_declaration"
            return False, is_assigned and not is_local
    return True, False


def loop_names(loop: Node) -> list[Node]:
    """The identifiers that a ``for`` declares."""
    clause = loop.get("clause")
    if clause is None:
        return []
    lists = [child for child in clause.children if child.type == "variable_list"]
    return lists[0].all("name") if lists else clause.all("name")


def targets_and_values(node: Node) -> tuple[list[Node], list[Node]]:
    """The left and the right side of a local declaration, an assignment or an update such as ``+=``."""
    known = _sides(node.tree)
    if node not in known:
        lists = node.children
        if node.type == "variable_declaration" and lists and lists[0].type == "assignment_statement":
            lists = lists[0].children
        left = [child for part in lists if part.type == "variable_list" for child in part.all("name")]
        right = [child for part in lists if part.type == "expression_list" for child in part.children]
        known[node] = left, right
    return known[node]


@fact
def _sides(tree: Tree) -> dict[Node, tuple[list[Node], list[Node]]]:
    return {}  # filled as they are asked for: many rules look at the same statements


def parameter_names(parameters: Node) -> list[Node]:
    """The identifiers of a parameter list, ``...`` left out."""
    parts = [part.children[0] if part.type == "parameter" and part.children else part for part in parameters.children]
    return [part for part in parts if part.type == "identifier"]


def function_of(node: Node) -> Node | None:
    """The innermost function around ``node``, or None at the top of the script."""
    return next((ancestor for ancestor in node.ancestors() if ancestor.type in FUNCTIONS), None)
