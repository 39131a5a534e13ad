"""A program's own functions: which calls run them, what they take and what they give back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from luau_rft.luau.flow import ending, leaves, runs_forever
from luau_rft.luau.scopes import Scopes, Variable, function_of, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, fact, last_name

MULTIPLE = frozenset({"function_call", "vararg_expression"})  # expressions that can stand for several values


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an own function.

    Its arguments fill the written parameters from ``shift`` on: 1 where a colon passes the first one, -1 where the
    first argument is the ``self`` that is not written. ``is_virtual`` calls go through ``self``: what a subclass
    declares may be called instead.
    """

    node: Node
    function: Node
    shift: int = 0
    is_virtual: bool = False


@fact
def own_calls(tree: Tree) -> tuple[Call, ...]:
    """The calls of functions that are declared once in the text and never set to anything else.

    >>> from luau_rft.luau.tree import parse
    >>> [call.node.line for call in own_calls(parse("local function f() end\\nf()\\nlocal g = f"))]
    [2]
    """
    if tree.errors:
        return ()
    scopes = resolve(tree)
    found = [*_calls_of_locals(scopes), *_calls_of_globals(scopes), *_calls_of_members(tree, scopes)]
    return tuple(sorted(found, key=lambda call: call.node.start))


def declared(variable: Variable) -> Node | None:
    """The function that a local stands for all the time, or None."""
    if not variable.writes:
        return variable.value if variable.value is not None and variable.value.type in FUNCTIONS else None
    if variable.value is not None or variable.kind != "local" or len(variable.writes) > 1:
        return None
    return _set_function(variable.writes[0])


def _set_function(target: Node) -> Node | None:
    """The function that the assignment or declaration around ``target`` gives it."""
    parent = target.parent
    if parent is not None and parent.type == "function_declaration":
        return parent
    if parent is None or parent.type != "variable_list" or parent.parent.type != "assignment_statement":
        return None
    targets, values = targets_and_values(parent.parent)
    at = targets.index(target) if target in targets else len(values)
    return values[at] if at < len(values) and values[at].type == "function_definition" else None


def _calls_of_locals(scopes: Scopes) -> Iterator[Call]:
    for variable in scopes.variables:
        function = declared(variable) if variable.kind in ("local", "function") else None
        if function is not None:
            yield from (Call(read.parent, function) for read in variable.reads if _is_called(read))


def _calls_of_globals(scopes: Scopes) -> Iterator[Call]:
    functions: dict[str, Node | None] = {}
    for name in scopes.global_writes:
        functions[name.text] = None if name.text in functions else _set_function(name)
    if functions:
        for read in scopes.global_reads:
            if _is_called(read) and (function := functions.get(read.text)) is not None:
                yield Call(read.parent, function)


def _calls_of_members(tree: Tree, scopes: Scopes) -> Iterator[Call]:
    """Calls of ``M.f`` and ``M:f``, and of ``self:f`` in the functions of M."""
    functions: dict[tuple[Variable, str], Node | None] = {}
    uses: list[tuple[Variable, Node, bool]] = []
    dynamic: set[Variable] = set()
    tables = {
        variable: variable
        for variable in scopes.variables
        if variable.kind == "local" and not variable.writes and _is_type(variable.value, "table_constructor")
    }
    for variable in scopes.variables:
        owner = _class_of(variable, scopes)
        if owner in tables:
            tables[variable] = owner
    for variable, owner in tables.items():
        for read in variable.reads:
            index = read.parent
            if index is None or read.field != "table":
                continue
            name = last_name(index) if index.type != "bracket_index_expression" else ""
            place = index.parent
            if place.type == "function_declaration" or _is_target(index):
                function = place if place.type == "function_declaration" else _set_function(index)
                dynamic |= {owner} if not name else set()
                functions[owner, name] = None if (owner, name) in functions else function
            elif _is_called(index):
                uses.append((owner, index, variable is not owner))
    for variable in set(tables.values()):
        for field in variable.value.children:
            name = field.get("name")
            functions[variable, name.text if name is not None and name.type == "identifier" else ""] = None
    for owner, index, is_virtual in uses:
        function = functions.get((owner, last_name(index)))
        if function is not None and owner not in dynamic:
            declaration = function.get("name")
            takes_self = _is_type(declaration, "method_index_expression")
            shift = (index.type == "method_index_expression") - takes_self
            yield Call(index.parent, function, shift, is_virtual)


def _class_of(variable: Variable, scopes: Scopes) -> Variable | None:
    """The M of a ``self`` in ``function M:f()`` and of ``local x = setmetatable({}, M)``."""
    if variable.writes:
        return None
    if variable.kind == "parameter" and variable.node.type == "method_index_expression":
        return scopes.of.get(variable.node.get("table"))
    value = variable.value
    if _is_type(value, "function_call") and callee(value) == "setmetatable" and len(arguments(value)) == 2:
        return scopes.of.get(arguments(value)[1])
    return None


def _is_called(expression: Node) -> bool:
    return expression.field == "name" and expression.parent is not None and expression.parent.type == "function_call"


def _is_target(expression: Node) -> bool:
    return expression.field == "name" and expression.parent is not None and expression.parent.type == "variable_list"


def _is_type(node: Node | None, kind: str) -> bool:
    return node is not None and node.type == kind


@fact
def returns(tree: Tree) -> dict[Node | None, list[Node]]:
    """The ``return`` statements of each function; those of the script itself under None."""
    found: dict[Node | None, list[Node]] = {}
    for statement in tree.of("return_statement"):
        found.setdefault(function_of(statement), []).append(statement)
    return found


def returned(statement: Node) -> list[Node]:
    """The expressions of a ``return``."""
    return [value for part in statement.children if part.type == "expression_list" for value in part.children]


def falls_off(function: Node) -> bool:
    """Whether the end of a function can be reached without a ``return``."""
    body = function.get("body")
    if body is None or not body.children:
        return True
    last = body.children[-1]
    if last.type in ("while_statement", "repeat_statement") and runs_forever(last):
        return any(node.type == "break_statement" for node in leaves(last))
    return body not in ending(function.tree)


def most_results(function: Node) -> int | None:
    """How many values a call of ``function`` gives at most; None where that cannot be told."""
    counts = [count(returned(statement)) for statement in returns(function.tree).get(function, ())]
    most = [most for _, most in counts]
    return None if None in most else max(most, default=0)  # type: ignore[type-var]


def fewest_results(function: Node) -> int:
    """How many values a call of ``function`` gives at least."""
    if falls_off(function):
        return 0
    return min((count(returned(statement))[0] for statement in returns(function.tree).get(function, ())), default=0)


def count(expressions: list[Node]) -> tuple[int, int | None]:
    """How many values a list of expressions gives, at least and at most; None where there is no most."""
    if expressions and expressions[-1].type in MULTIPLE:
        return len(expressions) - 1, None
    return len(expressions), len(expressions)


def parameters(function: Node) -> tuple[list[Node], bool]:
    """The written parameters of a function, ``...`` left out, and whether it takes ``...`` as well."""
    found = function.get("parameters")
    parts: Iterable[Node] = found.children if found is not None else ()
    named, takes_more = [], False
    for part in parts:
        name = part.children[0] if part.type == "parameter" and part.children else part
        if name.type == "vararg_expression":
            takes_more = True
        else:
            named.append(part)
    return named, takes_more


def always_runs(node: Node, function: Node) -> bool:
    """Whether each call of ``function`` comes to ``node``, unless an error ends it before."""
    below = node
    for above in node.ancestors():
        if above is function:
            break
        if above.type in FUNCTIONS or (above.type in _CONDITIONAL and below.field not in _CONDITIONAL[above.type]):
            return False
        if above.type == "binary_expression" and above.operator in ("and", "or") and below.field == "right":
            return False
        below = above
    first = next(iter(returns(function.tree).get(function, ())), None)
    return first is None or first.start > node.start or node.end <= first.end


# The parts of a statement or expression that run each time that it does.
_CONDITIONAL = {
    "if_statement": ("condition",),
    "elseif_statement": (),
    "else_statement": (),
    "if_expression": ("condition",),
    "while_statement": ("condition",),
    "for_statement": ("clause",),
}
