"""Which statements of a program do something.

A statement does something if its effect can be noticed from outside: it calls something for its effect, hands a
function that has one to a call, sets a property or a global that is read, or returns a value that is worked out.
Declarations and assignments are needed where such a statement needs their value, loops and branches where they hold
one, a function where it holds one and is used.

What does nothing: comments, unused locals and functions, code that cannot run, empty handlers and empty ``pcall``s,
``print`` and ``warn``, bare waits, assignments that change nothing or are overwritten at once, calls of getters whose
result is dropped, instances that never reach the game, tweens that are never played, constant attributes and tags that
are set once, tables of constants, functions that give back a constant or their own argument.

What is needed counts, but for what only wraps it (``do``, ``if true``, ``task.spawn``, a function without parameters)
or names a constant, and but for further copies of the same statement or function.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

from luau_rft.luau.constants import is_constant, never_run, runs_once, truth
from luau_rft.luau.effects import (
    PROTECTED,
    SILENT_CALLS,
    WRAPPERS,
    changes_nothing,
    is_silent,
    is_unseen,
    loose_instances,
    notes,
    overwritten,
)
from luau_rft.luau.flow import branches, ending
from luau_rft.luau.scopes import Scopes, Variable, resolve, targets_and_values
from luau_rft.luau.shapes import shape
from luau_rft.luau.tree import (
    FUNCTIONS,
    STATEMENTS,
    Node,
    Tree,
    arguments,
    callee,
    fact,
    last_name,
    method,
    parse,
    root_name,
    strip,
)

ENOUGH = 8  # different statements, after which copies are no longer looked for
MOSTLY_READ = 0.5  # of the code, in well-formed statements
SUBSTANCE = 3  # a program with fewer statements that do something "has no substance"

_TABLE_CHANGES = frozenset({"table.insert", "table.remove", "table.sort", "table.clear", "table.move", "rawset"})
_WRAPPED = frozenset({"parenthesized_expression", "cast_expression"})
_SET = frozenset({"assignment_statement", "update_statement"})

# A function that must do something, and whether that must be an effect (True) or a value may do (False).
_Need = tuple[Node, bool]
# Whether something has an effect of its own, or the functions one of which must.
_Verdict = bool | list[_Need]


def substantive_statements(source: str) -> int:
    """How many statements of ``source`` do something.

    >>> substantive_statements("local part = Instance.new('Part') part.Parent = workspace local unused = 1")
    2
    """
    return len(substantive(parse(source)))


@fact
def living(tree: Tree) -> frozenset[Node]:
    """The statements that an effect of the program needs; wrappers, copies, and guards that return early among them."""
    return _needed(tree)[1]


@fact
def _needed(tree: Tree) -> tuple[frozenset[Node], frozenset[Node]]:
    """What the effects of the program are made of, without and with its notes and the guards before them."""
    work = _Slice(tree)
    work.follow(work.roots())
    effects = frozenset(work.needed)
    work.follow([note for note in notes(tree) if note.is_statement])
    while guards := work.guards():
        work.follow(guards)
    return effects, frozenset(work.needed)


@fact
def substantive(tree: Tree) -> frozenset[Node]:
    """The statements that do something, each once, and the entries of a returned table that are worked out.

    Where most of the text is broken, what looks like a statement is one by chance.
    """
    if tree.errors and read_share(tree) < MOSTLY_READ:
        return frozenset()
    seen: set[object] = set()
    kept = []
    broken = {above for error in tree.errors for above in error.ancestors()}
    for node in sorted(_needed(tree)[0] - broken, key=lambda node: (node.start, -node.end)):
        if _only_wraps(node):
            continue
        copy = shape(node) if len(kept) < ENOUGH else node
        if copy not in seen:
            seen.add(copy)
            kept.append(node)
            if node.type == "return_statement":
                kept += _worked_out_entries(node)
    return frozenset(kept)


@fact
def read_share(tree: Tree) -> float:
    """The share of the code that belongs to well-formed statements, those that do nothing left out of the count.

    >>> read_share(parse("workspace.Name = 'a'")), read_share(parse("local unused = 1 local x = = 2"))
    (1.0, 0.0)
    """
    if not tree.errors:
        return tree.read_share
    code = bytearray(not chr(byte).isspace() for byte in tree.data)
    for comment in tree.comments:
        code[comment.start : comment.end] = bytes(comment.end - comment.start)
    total = sum(code)
    unread = (1 - tree.read_share) * total
    broken = {above for error in tree.errors for above in (error, *error.ancestors())}
    alive, idle, last = _needed(tree)[0], 0, 0
    for node in tree.of(*STATEMENTS):
        if node.start >= last and node not in alive and node not in broken and node.is_statement:
            idle += sum(code[node.start : node.end])
            last = node.end
    read = total - unread - idle
    return read / (read + unread) if read > 0 else 0.0


class _Slice:
    """Goes backwards from the statements with an outside effect to all that they need."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.scopes: Scopes = resolve(tree)
        self.dead = never_run(tree)
        self.read_globals = {node.text for node in self.scopes.global_reads}
        self.loose = loose_instances(tree)
        self.global_functions: dict[str, list[Node]] = {}
        for name in self.scopes.global_writes:
            if name.parent is not None and name.parent.type == "function_declaration":
                self.global_functions.setdefault(name.text, []).append(name.parent)
        self.function: dict[Node, Node | None] = {}  # the function around each statement
        self.around: dict[Node, Node | None] = {}  # the statement around each statement and function
        self._place()
        self.returns: dict[Node | None, set[str]] = {}
        for node, function in self.function.items():
            if node.type == "return_statement" and node not in self.dead:
                self.returns.setdefault(function, set()).add(node.text if node.end - node.start < 100 else "")
        self.starting: dict[Node | None, list[Node]] = {}  # by function, the statements with an effect of their own
        self._judge()
        self.inside: dict[Node | None, list[Node]] = {}  # the functions of each statement
        for node, around in self.around.items():
            if node.type in FUNCTIONS:
                self.inside.setdefault(node if node.is_statement else around, []).append(node)
        self.needed: set[Node] = set()
        self.explained: set[Variable] = set()

    def _place(self) -> None:
        functions: list[Node] = []
        statements: list[Node] = []
        for node in self.tree.of(*STATEMENTS | FUNCTIONS):  # parents come first
            while functions and functions[-1].end <= node.start:
                functions.pop()
            while statements and statements[-1].end <= node.start:
                statements.pop()
            around = statements[-1] if statements else None
            if node.is_statement:
                self.function[node] = functions[-1] if functions else None
                self.around[node] = around
                statements.append(node)
            if node.type in FUNCTIONS:
                self.around.setdefault(node, around)
                functions.append(node)

    def _judge(self) -> None:
        """Fill ``starting``; a statement that hangs on a function waits until that one is known to do something."""
        waiting: dict[_Need, list[Node]] = {}
        ready: list[Node] = []
        for node in self.function:
            verdict = self._verdict(node) if node not in self.dead else False
            if verdict is True:
                ready.append(node)
            elif verdict:
                for need in verdict:
                    waiting.setdefault(need, []).append(node)
        started: set[Node] = set()
        while ready:
            node = ready.pop()
            if node in started:
                continue
            started.add(node)
            function = self.function[node]
            self.starting.setdefault(function, []).append(node)
            if function is not None:
                ready += waiting.pop((function, False), ())
                if _is_effect(node):
                    ready += waiting.pop((function, True), ())

    def roots(self) -> list[Node]:
        """The statements with an effect that run without being called."""
        if not self.tree.errors:
            return list(self.starting.get(None, ()))
        # What contains what is not known: every function that is named twice may be called.
        effects = (nodes for function, nodes in self.starting.items() if _may_run(function))
        return [node for nodes in effects for node in nodes if _is_effect(node)]

    def guards(self) -> list[Node]:
        """The exits that may be taken before a needed statement of their block is reached."""
        last: dict[Node, int] = {}
        for node in self.needed:
            last[node.parent] = max(node.start, last.get(node.parent, 0))
        ends = ending(self.tree)
        return [
            body.children[-1]
            for node in self.tree.of("if_statement")
            if node.start < last.get(node.parent, 0) and node not in self.needed and node not in self.dead
            for _, body in branches(node)
            if body in ends and body.children[-1] not in self.dead
        ]

    def follow(self, pending: list[Node]) -> None:
        """Add statements and all that they need to ``needed``."""
        needed, explained, inside = self.needed, self.explained, self.inside
        while pending:
            statement = pending.pop()
            if statement in needed or statement in self.dead:
                continue
            needed.add(statement)
            for function in inside.get(statement, ()):
                pending += self.starting.get(function, ())
            if (around := self.around[statement]) is not None:
                pending.append(around)
            for name in _own_names(statement):
                variable = self.scopes.of.get(name)
                if variable is None:
                    pending += self.global_functions.get(name.text, ()) if self.global_functions else ()
                elif variable not in explained:
                    explained.add(variable)
                    pending += self._sources(variable)

    def _sources(self, variable: Variable) -> Iterator[Node]:
        """The statements that give a variable, or a table behind it, its value."""
        for node in (variable.node, *variable.writes, *self._places(variable)):
            statement = statement_of(node)
            if statement is None or (statement.type == "function_declaration" and statement not in self.starting):
                continue
            if statement.type not in _SET or not (changes_nothing(statement) or self._assigns_stub(statement)):
                yield statement

    def _places(self, variable: Variable) -> Iterator[Node]:
        """Where the table behind a variable is changed, also by another name: ``local container = M``."""
        pending, seen = [variable], {variable}
        while pending:
            for read in pending.pop().reads:
                if _is_place(read) or _is_told(read):
                    yield read
                elif (alias := self._alias(read)) is not None and alias not in seen:
                    seen.add(alias)
                    pending.append(alias)

    def _alias(self, read: Node) -> Variable | None:
        above = read.parent.parent.parent if read.field == "value" and read.parent.type == "expression_list" else None
        if above is None or above.type != "variable_declaration":
            return None
        names, values = targets_and_values(above)
        # Where the text is broken, what stands in a list is not always one of its values.
        place = values.index(read) if read in values else len(names)
        return self.scopes.of.get(names[place]) if place < len(names) else None

    def _assigns_stub(self, statement: Node) -> bool:
        functions = [self._function(value) for value in targets_and_values(statement)[1]]
        return bool(functions) and all(value is not None and value not in self.starting for value in functions)

    def _verdict(self, node: Node) -> _Verdict:
        """Whether a statement has an outside effect by itself, or the functions of which one must have it."""
        match node.type:
            case "function_call":
                return self._call_verdict(node)
            case "variable_declaration":
                return _any(map(self._handed, targets_and_values(node)[1]))
            case "assignment_statement" | "update_statement":
                return self._assignment_verdict(node)
            case "return_statement":
                return self._return_verdict(node)
            case "function_declaration":  # function Echo.OnServerInvoke(player)
                name = node.get("name")
                is_set = name is not None and name.type == "dot_index_expression" and self._is_outside(name)
                return [(node, False)] if is_set else False
        return False

    def _assignment_verdict(self, node: Node) -> _Verdict:
        if changes_nothing(node) or node in overwritten(self.tree):
            return False
        targets, values = targets_and_values(node)
        if all(map(is_constant, values)) and all(map(_is_shared, targets)):
            return False  # notes to nobody
        if any(map(self._is_outside, targets)):
            functions = [self._function(value) for value in values]
            return True if None in functions else [(function, False) for function in functions]
        return _any(map(self._handed, values))

    def _return_verdict(self, node: Node) -> _Verdict:
        values = [strip(value) for part in node.children for value in part.children]
        function = self.function[node]
        if function is not None and len(self.returns[function]) > 1:
            return bool(values)
        return _any(self._value_verdict(value, function) for value in values)

    def _value_verdict(self, value: Node, function: Node | None) -> _Verdict:
        """Whether a returned value is worked out, or the functions in it."""
        if (own := self._function(value)) is not None:
            return [(own, False)]
        if is_constant(value):
            return False
        variable = self.scopes.of.get(value)
        if variable is not None and variable.kind == "parameter":
            return False
        if value.type == "table_constructor":
            return self._table_verdict(value)
        if variable is None or variable.value is None or variable.writes:
            return True
        table = strip(variable.value)
        return self._module_verdict(variable, table) if table.type == "table_constructor" else True

    def _table_verdict(self, table: Node) -> _Verdict:
        values = (field.get("value") for field in table.children)
        return _any(self._entry_verdict(strip(value)) for value in values if value is not None)

    def _entry_verdict(self, value: Node) -> _Verdict:
        function = self._function(value)
        return [(function, False)] if function is not None else not is_constant(value)

    def _module_verdict(self, variable: Variable, table: Node) -> _Verdict:
        """On a table that is made by ``local M = {}``, filled bit by bit and returned."""
        verdicts = [self._table_verdict(table)]
        if any(read.parent is not None and read.parent.type == "arguments" for read in variable.reads):
            return True  # what it is handed to may fill it
        for place in self._places(variable):
            statement = statement_of(place)
            if statement is None or statement in self.dead:
                continue
            if statement.type == "function_declaration":
                verdicts.append([(statement, False)])
            targets = targets_and_values(statement)[0]
            if any(target.type == "bracket_index_expression" for target in targets):
                return True
            for value in map(strip, targets_and_values(statement)[1]):
                verdicts.append(False if self.scopes.of.get(value) is variable else self._entry_verdict(value))
        return _any(verdicts)

    def _is_outside(self, target: Node) -> bool:
        """Whether setting ``target`` can be noticed: not a local, nor a field of a table made here."""
        if target.type == "identifier":
            return target not in self.scopes.of and target.text in self.read_globals
        root = root_name(target)
        variable = self.scopes.of.get(root) if root is not None else None
        return variable is None or not self._is_own(variable)

    def _is_own(self, variable: Variable) -> bool:
        """Whether a variable holds a table made here, or an instance that never reaches the game."""
        for _ in range(8):
            value = strip(variable.value) if variable.value is not None else None
            if variable in self.loose or (value is not None and value.type in ("table_constructor", *FUNCTIONS)):
                return True
            behind = self.scopes.of.get(value) if value is not None else None
            if behind is None:
                return False
            variable = behind
        return False

    def _call_verdict(self, call: Node) -> _Verdict:
        name, given = callee(call), arguments(call)
        if name == "error":  # alone it is all that a stub does; under a condition it guards something
            return any(above.type == "if_statement" for above in _up_to_function(call))
        if call in notes(self.tree) or is_unseen(call, self.loose):
            return False
        if is_silent(call, name) or (name in _TABLE_CHANGES and given and not self._is_outside_table(given[0])):
            return False
        called = call.get("name")
        root = root_name(called) if called is not None and called.type != "identifier" else None
        owner = self.scopes.of.get(root) if root is not None else None
        if owner is not None and (owner in self.loose or owner.value is not None):
            if self._is_stub(owner, last_name(called)):
                return False
            verdict = self._owner_verdict(owner, method(call))
            if verdict is not True:
                return verdict
        handlers = [(f, False) for argument in given if (f := self._function(argument)) is not None]
        called_function = self._function(strip(called)) if called is not None else None
        if called_function is not None:
            return [(called_function, True), *handlers]
        if handlers:
            return handlers
        if called is not None and called.type == "function_call":  # coroutine.wrap(f)()
            return self._call_verdict(called)
        return not any(argument.type == "identifier" and argument.text in SILENT_CALLS for argument in given)

    def _owner_verdict(self, owner: Variable, called: str | None) -> _Verdict:
        """On a method call, by what its object is: a new instance, a connection, an object of a class of this file."""
        if owner in self.loose:
            return False
        value = strip(owner.value)
        if value.type != "function_call":
            return True
        if called == "Disconnect":
            needs = self._handed(value)
            return needs or True
        maker = root_name(value)
        known = self.scopes.of.get(maker) if maker is not None else None
        if called is None or known is None or known.value is None or strip(known.value).type != "table_constructor":
            return True
        own = [read.parent.parent for read in known.reads if read.parent.type == "method_index_expression"]
        methods = [function for function in own if function.type == "function_declaration"]
        return [(f, True) for f in methods if last_name(f.get("name")) == called] or True

    def _is_stub(self, table: Variable, name: str) -> bool:
        """Whether a table of this file has functions of that name, and all do no more than print."""
        if table.value is None or strip(table.value).type != "table_constructor" or table.writes:
            return False
        places = [read.parent for read in table.reads if read.field == "table" and last_name(read.parent) == name]
        if any(place.field == "name" and place.parent.type == "variable_list" for place in places):
            return False  # it is given another one
        functions = [place.parent for place in places if place.parent.type == "function_declaration"]
        return bool(functions) and all(map(_does_nothing, functions))

    def _is_outside_table(self, table: Node) -> bool:
        root = root_name(table)
        variable = self.scopes.of.get(root) if root is not None else None
        return variable is None or not self._is_own(variable)

    def _handed(self, value: Node) -> _Verdict:
        """On the functions that a value, as in ``event:Connect(f)``, calls or is given; protected methods count."""
        value = strip(value)
        if value.type != "function_call":
            return False
        given = arguments(value)
        if given and given[0].type == "dot_index_expression" and callee(value) in PROTECTED:
            return not is_silent(value, "".join(given[0].text.split()))
        needs = [(f, False) for argument in given if (f := self._function(argument)) is not None]
        called = value.get("name")
        called_function = self._function(strip(called)) if called is not None else None
        return [(called_function, True), *needs] if called_function is not None else needs

    def _function(self, expression: Node | None) -> Node | None:
        """The function of this file that an expression stands for, if that is known."""
        if expression is None or expression.type == "function_definition":
            return expression
        variable = self.scopes.of.get(expression)
        if variable is None or variable.value is None or variable.writes:
            return None
        return variable.value if variable.value.type in FUNCTIONS else None


def _does_nothing(function: Node) -> bool:
    body = function.get("body")
    statements = body.children if body is not None else []
    return all(node.type == "function_call" and is_silent(node, callee(node)) for node in statements)


def _any(verdicts: Iterable[_Verdict]) -> _Verdict:
    needs: list[_Need] = []
    for verdict in verdicts:
        if verdict is True:
            return True
        needs += verdict or ()
    return needs


def _only_wraps(statement: Node) -> bool:
    """Whether a needed statement adds nothing to the statements inside it, or names a constant."""
    match statement.type:
        case "do_statement":
            return True
        case "if_statement":
            return truth(statement.get("condition")) is True
        case "repeat_statement":
            return truth(statement.get("condition")) is True
        case "for_statement":
            return runs_once(statement)
        case "function_declaration":
            name, parameters = statement.get("name"), statement.get("parameters")
            return name is not None and name.type == "identifier" and not (parameters and parameters.children)
        case "function_call":
            return _is_wrapper(statement)
        case "variable_declaration":
            values = targets_and_values(statement)[1]
            if len(values) == 1 and strip(values[0]).type == "function_call" and _is_wrapper(strip(values[0])):
                return True
            return bool(values) and all(map(is_constant, values)) and not _is_changed(statement)
        case "assignment_statement":
            return _fills_in_constant(statement)
    return False


def _is_wrapper(call: Node) -> bool:
    """``task.spawn(f)``, ``pcall(function() ... end)``, ``main()``, ``(function() ... end)()``."""
    called, given = call.get("name"), arguments(call)
    if called is None:
        return False
    if given and callee(call) in WRAPPERS:
        return _is_function_here(given[0])
    return not given and (called.type == "function_call" or _is_function_here(strip(called)))


def _is_function_here(expression: Node) -> bool:
    if expression.type == "function_definition":
        return True
    variable = resolve(expression.tree).of.get(expression)
    return variable is not None and variable.value is not None and variable.value.type in FUNCTIONS


def _is_changed(declaration: Node) -> bool:
    """Whether a declared local gets other values later, or is a table that is filled."""
    of = resolve(declaration.tree).of
    variables = [of[name] for name in targets_and_values(declaration)[0] if name in of]
    return any(v.writes or any(map(_is_place, v.reads)) for v in variables)


def _fills_in_constant(statement: Node) -> bool:
    """``M.LIMIT = 5`` for a table of this file, at the top of the script."""
    if statement.parent is None or statement.parent.type != "chunk":
        return False
    of = resolve(statement.tree).of
    targets, values = targets_and_values(statement)
    roots = [root_name(target) for target in targets if target.type != "identifier"]
    variables = [of[root].value for root in roots if root in of]
    is_local = bool(variables) and all(v is not None and strip(v).type == "table_constructor" for v in variables)
    return is_local and all(map(is_constant, values))


def _worked_out_entries(statement: Node) -> list[Node]:
    """The entries of a table that is returned at the top of a script, constants left out."""
    if statement.parent is None or statement.parent.type != "chunk":
        return []
    values = [strip(value) for part in statement.children for value in part.children]
    fields = [field for value in values if value.type == "table_constructor" for field in value.children]
    return [field for field in fields if (value := field.get("value")) is not None and not is_constant(value)]


def returns_table(tree: Tree) -> bool:
    """Whether the program ends by returning a table that is written out in it.

    >>> returns_table(parse("local Prices = { Sword = 100 } return table.freeze(Prices)"))
    True
    """
    value = returned(tree)
    return value is not None and value.type == "table_constructor"


def returned(tree: Tree) -> Node | None:
    """What the program ends by returning: for a local, what that starts with.

    >>> returned(parse("local function half(n) return n / 2 end return half")).type
    'function_declaration'
    """
    last = tree.root.children[-1] if tree.root.children else None
    values = [value for part in last.children for value in part.children] if last is not None else []
    if last is None or last.type != "return_statement" or len(values) != 1:
        return None
    value = strip(values[0])
    if callee(value) == "table.freeze" and arguments(value):
        value = strip(arguments(value)[0])
    variable = resolve(tree).of.get(value)
    return strip(variable.value) if variable is not None and variable.value is not None else value


_DECLARING = frozenset({"variable_declaration", "assignment_statement", "type_definition", "return_statement"})


@fact
def is_data(tree: Tree) -> bool:
    """Whether a program only declares types and gives back values or other modules: it has no code of its own to judge.

    >>> [is_data(parse(f"local M = {{ Speed = 16 }} {rest} return M")) for rest in ("M.Jump = 7", "M.Jump = jump()")]
    [True, False]
    """
    statements = tree.root.children
    if tree.compile_error is not None or tree.of(*FUNCTIONS) or not statements:
        return False
    if statements[-1].type not in ("return_statement", "type_definition"):
        return False
    if not all(node.type in _DECLARING for node in statements):
        return False
    of = resolve(tree).of
    targets = (t for node in statements if node.type == "assignment_statement" for t in targets_and_values(node)[0])
    roots = [root_name(target) for target in targets]
    calls = tree.of("function_call")
    return all(root in of for root in roots) and all(
        callee(call) == "table.freeze" or is_silent(call, callee(call)) for call in calls
    )


def statement_of(node: Node) -> Node | None:
    """The innermost statement that ``node`` is part of, itself included."""
    if node.is_statement:
        return node
    return next((above for above in node.ancestors() if above.is_statement), None)


def _is_effect(statement: Node) -> bool:
    """Whether what a statement does is more than to give back a value, or to change the object of its own method."""
    if statement.type not in _SET:
        return statement.type != "return_statement"
    roots = [root_name(target) for target in targets_and_values(statement)[0]]
    return not roots or any(root is None or root.text != "self" for root in roots)


def _is_shared(target: Node) -> bool:
    """Whether a place is a field of ``_G`` or ``shared``."""
    root = root_name(target) if target.type == "dot_index_expression" else None
    return root is not None and root.text in ("_G", "shared")


def _may_run(function: Node | None) -> bool:
    name = last_name(function.get("name")) if function is not None and function.get("name") is not None else ""
    return not name or len(re.findall(rf"\b{name}\b", function.tree.source)) > 1


def _is_told(read: Node) -> bool:
    """``counter`` of the statement ``counter:add(1)``."""
    above = read.parent
    is_object = read.field == "table" and above is not None and above.type == "method_index_expression"
    return is_object and above.parent is not None and above.parent.type == "function_call" and above.parent.is_statement


def _up_to_function(node: Node) -> Iterator[Node]:
    return takewhile(lambda above: above.type not in FUNCTIONS, node.ancestors())


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
    """Whether what an identifier holds is changed: ``a`` of ``a.b = 1``, ``function a.f()``, ``table.insert(a, 1)``."""
    while node.parent is not None and (node.field == "table" or node.parent.type in _WRAPPED):
        node = node.parent
    above = node.parent
    if above is None:
        return False
    if above.type == "arguments":
        return above.children[0] is node and above.parent is not None and callee(above.parent) in _TABLE_CHANGES
    return node.field == "name" and above.type in ("variable_list", "function_declaration")
