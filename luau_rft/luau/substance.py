"""Which statements of a program do something.

A statement does something if its effect can be noticed from outside: it calls something for its effect, hands a
function that has one to a call, sets a property or a global that is read, or returns a value that is not always the
same literal. Declarations and assignments count where such a statement needs their value, loops and branches where
they hold one, a function where it holds one and is used.

What does not count: comments, unused locals and functions, code that cannot run, empty handlers and empty ``pcall``s,
``print`` and ``warn``, bare waits, assignments that change nothing, calls of getters whose result is dropped, and the
second copy of the same statement in a block.
"""

from collections.abc import Iterable
from functools import lru_cache

from luau_rft.luau.flow import unreachable
from luau_rft.luau.scopes import Scopes, Variable, function_of, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, arguments, callee, method, parse, root_name, strip

SUBSTANCE = 3  # a program with fewer statements that do something "has no substance"

_SILENT_CALLS = frozenset(
    [
        "print", "warn", "wait", "task.wait", "tick", "time", "os.time", "os.clock", "type", "typeof", "tostring",
        "tonumber", "select", "next", "pairs", "ipairs", "unpack", "rawget", "rawequal", "rawlen", "getmetatable",
        "require", "assert",
    ]
)  # fmt: skip
_PURE_LIBRARIES = frozenset(["math", "string", "utf8", "bit32", "vector", "Vector3", "Vector2", "CFrame", "Color3"])
_GETTERS = ("Get", "Find", "Is", "Has", "Wait")
_COMPOUND = LOOPS | {"do_statement", "if_statement"}
_LITERALS = frozenset({"nil", "true", "false", "number", "string"})


def substantive_statements(source: str) -> int:
    """How many statements of ``source`` do something.

    >>> substantive_statements("local part = Instance.new('Part') part.Parent = workspace local unused = 1")
    2
    """
    return len(substantive(parse(source)))


@lru_cache(maxsize=4)
def substantive(tree: Tree) -> frozenset[Node]:
    """The statements that do something."""
    return frozenset(_Slice(tree).run())


class _Slice:
    """Goes backwards from the statements with an outside effect to all that they need."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.scopes: Scopes = resolve(tree)
        self.dead = {below for node, _ in unreachable(tree) for below in _from(node)}
        self.read_globals = {node.text for node in self.scopes.global_reads}
        self.global_functions: dict[str, list[Node]] = {}
        for name in self.scopes.global_writes:
            if name.parent is not None and name.parent.type == "function_declaration":
                self.global_functions.setdefault(name.text, []).append(name.parent)
        self.returns: dict[Node | None, set[str]] = {}
        for node in tree.of("return_statement"):
            if node not in self.dead:
                self.returns.setdefault(function_of(node), set()).add(node.text)
        self.effective: set[Node] = set()  # functions of which a call can be noticed
        self.useful: set[Node] = set()  # and those that give back more than a literal
        self._judge_functions()

    def run(self) -> set[Node]:
        needed: set[Node] = set()
        explained: set[Variable] = set()
        # Where the text is broken, what contains what is not known: every statement may run.
        pending = self._starting(self.tree.nodes if self.tree.errors else self.tree.root.children)
        while pending:
            statement = pending.pop()
            if statement in needed or statement in self.dead:
                continue
            needed.add(statement)
            pending += self._starting(statement.children)
            pending += [above for above in statement.ancestors() if above.is_statement]
            for name in _own_names(statement):
                variable = self.scopes.of.get(name)
                if variable is None:
                    pending += self.global_functions.get(name.text, [])
                elif variable not in explained:
                    explained.add(variable)
                    pending += self._sources(variable)
        return self._without_copies(needed)

    def _starting(self, nodes: Iterable[Node]) -> list[Node]:
        """The statements among and below ``nodes`` that have an effect when they run."""
        found, stack = [], list(nodes)
        while stack:
            node = stack.pop()
            if node.is_statement and self._starts(node):
                found.append(node)
            elif not node.is_statement or node.type in _COMPOUND:
                stack.extend(node.children)
        return found

    def _sources(self, variable: Variable) -> list[Node]:
        """The statements that give a variable, or a table behind it, its value."""
        places = [variable.node, *variable.writes, *(node for node in variable.reads if _is_place(node))]
        statements = [statement for node in places if (statement := statement_of(node))]
        return [node for node in statements if node.type != "function_declaration" or node in self.useful]

    def _starts(self, node: Node) -> bool:
        """Whether a statement has an outside effect by itself, nothing else asking for it."""
        if node in self.dead:
            return False
        if node.type == "function_call":
            return self._call_has_effect(node)
        if node.type == "variable_declaration":
            return any(self._runs_handler(value) for value in targets_and_values(node)[1])
        if node.type in ("assignment_statement", "update_statement"):
            if _changes_nothing(node):
                return False
            targets, values = targets_and_values(node)
            return any(self._is_outside(target) for target in targets) or any(map(self._runs_handler, values))
        if node.type == "return_statement":
            values = [strip(value) for part in node.children for value in part.children]
            return any(value.type not in _LITERALS for value in values) or (
                bool(values) and len(self.returns[function_of(node)]) > 1
            )
        return False

    def _is_outside(self, target: Node) -> bool:
        """Whether setting ``target`` can be noticed: not a local, nor a field of a table made here."""
        if target.type == "identifier":
            return target not in self.scopes.of and target.text in self.read_globals
        root = root_name(target)
        variable = self.scopes.of.get(root) if root is not None else None
        value = strip(variable.value) if variable and variable.value else None
        return not (value is not None and value.type == "table_constructor")

    def _call_has_effect(self, call: Node) -> bool:
        name, called = callee(call), method(call)
        if name in _SILENT_CALLS or name.split(".")[0] in _PURE_LIBRARIES:
            return False
        if called is not None and called.startswith(_GETTERS) and not called.endswith("Async"):
            return False
        called_function = self._function(call.get("name"))
        handlers = [handler for argument in arguments(call) if (handler := self._function(argument)) is not None]
        if called_function is None and not handlers:
            return True
        return called_function in self.effective or any(handler in self.useful for handler in handlers)

    def _runs_handler(self, value: Node) -> bool:
        """Whether a value is a call that is given a useful function, as in ``event:Connect(f)``."""
        value = strip(value)
        if value.type != "function_call":
            return False
        given = arguments(value)
        if callee(value) in ("pcall", "xpcall") and given and given[0].type == "dot_index_expression":
            return given[0].text not in _SILENT_CALLS and given[0].text.split(".")[0] not in _PURE_LIBRARIES
        return any(self._function(argument) in self.useful for argument in given)

    def _function(self, expression: Node | None) -> Node | None:
        """The function of this file that an expression stands for, if that is known."""
        if expression is None or expression.type == "function_definition":
            return expression
        variable = self.scopes.of.get(expression)
        if variable is None or variable.value is None or variable.writes:
            return None
        return variable.value if variable.value.type in FUNCTIONS else None

    def _judge_functions(self) -> None:
        statements = [(node, function_of(node)) for node in self.tree.nodes if node.is_statement]
        settled = -1
        while settled < len(self.useful):  # until functions that call each other are settled
            settled = len(self.useful)
            for node, function in statements:
                if function is not None and function not in self.useful and self._starts(node):
                    self.useful.add(function)
            for node, function in statements:
                if function in self.useful and node.type != "return_statement" and self._starts(node):
                    self.effective.add(function)

    def _without_copies(self, statements: set[Node]) -> set[Node]:
        kept: dict[tuple[Node | None, str], Node] = {}
        for node in sorted(statements, key=lambda node: (node.start, -node.end)):
            kept.setdefault((node.parent, "".join(node.text.split())), node)
        return set(kept.values())


def _changes_nothing(statement: Node) -> bool:
    """Whether an assignment leaves everything as it was: ``a.b = a.b``, ``a.b += 0``.

    >>> [_changes_nothing(node) for node in parse("a.b = a.b\\na.b += 0\\na.b += 1").root.children]
    [True, True, False]
    """
    target, _, value = "".join(statement.text.split()).partition("=")
    return target == value or target[-1:] + value in ("+0", "-0", "*1", "/1", "^1")


def statement_of(node: Node) -> Node | None:
    """The innermost statement that ``node`` is part of, itself included."""
    if node.is_statement:
        return node
    return next((above for above in node.ancestors() if above.is_statement), None)


def _from(node: Node) -> list[Node]:
    """A node and all below it; for a statement also those that follow it in its block."""
    siblings = node.parent.children if node.is_statement and node.parent else [node]
    return [below for sibling in siblings[siblings.index(node) :] for below in sibling.walk()]


def _own_names(statement: Node) -> list[Node]:
    """The identifiers of a statement, those of nested statements left out."""
    found, stack = [], list(statement.children)
    while stack:
        node = stack.pop()
        if node.type == "identifier":
            found.append(node)
        elif not node.is_statement:
            stack.extend(node.children)
    return found


def _is_place(node: Node) -> bool:
    """Whether an identifier starts the target of an assignment or the name of a function: ``a`` of ``a.b = 1``."""
    while node.parent is not None and node.field == "table":
        node = node.parent
    return node.field == "name" and node.parent is not None and node.parent.type in (
        "variable_list", "function_declaration"
    )  # fmt: skip
