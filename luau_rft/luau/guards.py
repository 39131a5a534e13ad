"""Whether a value is known to be there, neither nil nor false, at a place of a program: what checked it before."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from luau_rft.luau.flow import branches, ending
from luau_rft.luau.scopes import Variable, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, arguments, callee, strip

# Limits that keep hostile programs from taking quadratic time; people do not come near them.
_MAX_STATEMENTS = 100  # mentions of the value that are looked at, from its use backwards
_MAX_OPERATORS = 40  # nested `and`, `or` and `not` that a condition is followed through
_MAX_NESTING = 12  # nested `if` and `do` statements that a check is looked for in

_FAILS_ON_NIL = frozenset({"+", "-", "*", "/", "//", "%", "^", "..", "<", ">", "<=", ">="})
_BLOCKS = frozenset({"block", "chunk", "ERROR"})


class Subject:
    """A value, by the nodes that stand for it: the mentions of a variable, or expressions of the same text.

    ``there`` tells, for a node among them that is assigned to, whether what it gets is known to be there (None: not
    told). ``writes`` are those among them; ``makers`` are calls after which the value is there.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        there: Callable[[Node, Node | None], bool | None],
        writes: Sequence[Node],
        makers: Iterable[Node] = (),
    ) -> None:
        self.nodes = frozenset(nodes)
        self.there = there
        self.writes = sorted(node.start for node in writes)
        self.makers = frozenset(makers)
        self.silent: set[Node] = set()  # statements that are known to say nothing of it
        aliases = {alias for node in self.nodes if (alias := _alias(node)) is not None}
        mentions = {*self.nodes, *self.makers, *(read for alias in aliases for read in alias.reads)}
        self.starts = sorted(node.start for node in mentions)

    def mentioning(self, block: Node, start: int, end: int) -> Iterator[Node]:
        """The statements of ``block`` from ``start`` to ``end`` that mention it, the last first."""
        at = bisect_left(self.starts, end)
        while at and self.starts[at - 1] >= start:
            index = bisect_right(block.children, self.starts[at - 1], key=lambda child: child.start) - 1
            if index < 0:
                return
            statement = block.children[index]
            if statement.end > self.starts[at - 1]:
                yield statement
            at = min(at - 1, bisect_left(self.starts, statement.start))

    def mentioned(self, part: Node | None) -> list[Node]:
        """The nodes below ``part`` that stand for it; none where nothing of the text can."""
        if part is None or not self._reaches(part):
            return []
        return [node for node in part.walk() if node in self.nodes]

    def _reaches(self, part: Node) -> bool:
        at = bisect_left(self.starts, part.start)
        return at < len(self.starts) and self.starts[at] < part.end

    def written_in(self, part: Node) -> bool:
        """Whether a statement, or a function in it, assigns to it."""
        return bisect_left(self.writes, part.start) < bisect_left(self.writes, part.end)

    def written_after(self, offset: int) -> bool:
        """Whether something is assigned to it further down in the text."""
        return bool(self.writes) and self.writes[-1] > offset


def known_at(use: Node, subject: Subject) -> bool | None:
    """Whether the value is there at ``use``: True if a check says so, False if it may be nil, None if nothing tells."""
    node = use
    in_closure = False
    for parent in use.ancestors():
        if _known_inside(parent, node, subject):
            return True
        if parent.type in _BLOCKS or (parent.type == "repeat_statement" and node.field == "condition"):
            block = parent if parent.type in _BLOCKS else parent.get("body")
            if block is None:
                continue
            # A function runs later than it is made: a check that follows in the block comes before it, too.
            if in_closure and _checked_later(block, node, subject):
                return True
            verdict = _known_after(subject.mentioning(block, block.start, min(node.start, block.end)), subject, 0)
            if verdict is not None:
                return verdict
        if parent.type in FUNCTIONS:
            if subject.written_after(parent.end):
                return None
            in_closure = True
        node = parent
    return None


def fails_on_nil(value: Node) -> bool:
    """Whether what is done with ``value`` raises an error if it is nil: indexing, calling, counting."""
    parent = value.parent
    if parent is None:
        return False
    match parent.type:
        case "dot_index_expression" | "method_index_expression" | "bracket_index_expression":
            return value.field == "table" and parent.parent is not None and parent.parent.type != "function_declaration"
        case "function_call":
            return value.field == "name"
        case "binary_expression":
            return parent.operator in _FAILS_ON_NIL
        case "unary_expression":
            return parent.operator in ("-", "#")
        case "for_numeric_clause":
            return value.field != "name"
    is_updated = parent.parent is not None and parent.parent.type == "update_statement"
    return is_updated and parent.type in ("expression_list", "variable_list")


def implies(condition: Node | None, subject: Subject, truth: bool, depth: int = 0) -> bool:
    """Whether the value is there if ``condition`` turns out as ``truth``."""
    if condition is None or depth > _MAX_OPERATORS:
        return False
    node = strip(condition)
    if node in subject.nodes:
        return truth
    match node.type:
        case "unary_expression":
            return node.operator == "not" and implies(node.get("operand"), subject, not truth, depth + 1)
        case "identifier":
            variable = resolve(node.tree).of.get(node)
            if variable is None or variable.value is None or variable.writes or variable.kind != "local":
                return False
            return not subject.written_after(variable.node.start) and implies(variable.value, subject, truth, depth + 1)
        case "binary_expression":
            sides = (node.get("left"), node.get("right"))
            if node.operator in ("and", "or"):
                both_hold = (node.operator == "and") is truth
                combine = any if both_hold else all
                return combine(implies(side, subject, truth, depth + 1) for side in sides)
            values = [strip(side) for side in sides if side is not None]
            if node.operator in ("==", "~="):
                absent = any(value.type in ("nil", "false") for value in values)
                differs = (node.operator == "~=") is truth
                if differs is absent and any(subject.mentioned(value) for value in values):
                    return True
                # What is not nil after `local x = a and a.B` is a.B, so that a was there.
                is_there = differs and any(value.type == "nil" for value in values)
                return is_there and any(implies(value, subject, True, depth + 1) for value in values)
            return truth and any(value in subject.nodes for value in values)
        case "function_call":
            # A function that is given the value, such as isAlive(humanoid), is trusted to have looked at it.
            return truth and any(strip(argument) in subject.nodes for argument in arguments(node))
    return False


def _alias(node: Node) -> Variable | None:
    """The local whose value, decided by ``node``, tells something of it: ``ok`` in ``local ok = x ~= nil and …``."""
    for above in node.ancestors():
        if above.type in FUNCTIONS or above.type in _BLOCKS:
            return None
        if above.type == "variable_declaration":
            names, values = targets_and_values(above)
            at = next((i for i, value in enumerate(values) if value.start <= node.start < value.end), len(names))
            return resolve(node.tree).of.get(names[at]) if at < len(names) else None
    return None


def _known_inside(parent: Node, node: Node, subject: Subject) -> bool:
    """Whether ``node``, a child of ``parent``, runs only when the value is there."""
    match parent.type, node.field:
        case "binary_expression", "right":
            left = parent.get("left")
            if parent.operator not in ("and", "or"):
                return False
            return implies(left, subject, parent.operator == "and") or _used(left, subject)
        case "if_statement" | "elseif_statement" | "if_expression" | "elseif_clause", "consequence":
            return implies(parent.get("condition"), subject, True) or _used(parent.get("condition"), subject)
        case "while_statement", "body":
            return implies(parent.get("condition"), subject, True) or _used(parent.get("condition"), subject)
        case "if_statement", "alternative":
            earlier = [condition for condition, _ in branches(parent)][: parent.all("alternative").index(node) + 1]
            return _used(parent.get("condition"), subject) or any(implies(c, subject, False) for c in earlier)
        case "if_expression", None:
            return implies(parent.get("condition"), subject, False)
    return False


def _known_after(statements: Iterable[Node], subject: Subject, depth: int) -> bool | None:
    """What statements, the last first, say of the value after them."""
    for statement in islice(statements, _MAX_STATEMENTS):
        if statement not in subject.silent:
            verdict = _after(statement, subject, depth)
            if verdict is not None:
                return verdict
            subject.silent.add(statement)
    return None


def _after(statement: Node, subject: Subject, depth: int) -> bool | None:
    match statement.type:
        case "variable_declaration" | "assignment_statement":
            targets, values = targets_and_values(statement)
            for i, target in enumerate(targets):
                if target in subject.nodes:
                    return subject.there(target, values[i] if i < len(values) else None)
            if any(_asserts(value, subject) or _makes(value, subject) for value in values):
                return True
        case "function_call":
            if _asserts(statement, subject) or statement in subject.makers:
                return True
        case "if_statement" if depth < _MAX_NESTING:
            verdict = _after_if(statement, subject, depth)
            if verdict is not None:
                return verdict
        case "do_statement" if depth < _MAX_NESTING:
            return _after_block(statement.get("body"), subject, depth)
        case "while_statement" | "repeat_statement":
            ends_with = statement.type == "repeat_statement"
            if implies(statement.get("condition"), subject, ends_with) and not _has_break(statement):
                return True
    if subject.written_in(statement):
        return True  # it is set somewhere in there; following every path would promise more than this can keep
    return True if _used(statement, subject) else None


def _after_if(statement: Node, subject: Subject, depth: int) -> bool | None:
    parts = branches(statement)
    if parts[-1][0] is not None:
        parts.append((None, None))  # no condition holds
    ends = ending(statement.tree)
    verdicts: list[bool | None] = []
    earlier: list[Node] = []
    for condition, body in parts:
        if body is None or body not in ends:
            verdict = _after_block(body, subject, depth)
            if verdict is None and (
                implies(condition, subject, True) or any(implies(other, subject, False) for other in earlier)
            ):
                verdict = True
            verdicts.append(verdict)
        if condition is not None:
            earlier.append(condition)
    if False in verdicts:
        return False
    return True if all(verdicts) else None


def _after_block(block: Node | None, subject: Subject, depth: int) -> bool | None:
    if block is None:
        return None
    return _known_after(subject.mentioning(block, block.start, block.end), subject, depth + 1)


def _checked_later(block: Node, node: Node, subject: Subject) -> bool:
    later = list(subject.mentioning(block, node.end, block.end))
    checks = (one for one in later[:_MAX_STATEMENTS] if one.type == "if_statement" or _asserts(one, subject))
    return any(_after(one, subject, 0) for one in checks)


def _asserts(value: Node, subject: Subject) -> bool:
    value = strip(value)
    given = arguments(value) if value.type == "function_call" and callee(value) == "assert" else []
    return bool(given) and implies(given[0], subject, True)


def _makes(value: Node, subject: Subject) -> bool:
    """Whether an expression is a call after which the value is there, or ends with such a call after ``or``."""
    value = strip(value)
    return value in subject.makers or (value.operator == "or" and strip(value.children[-1]) in subject.makers)


def _used(part: Node | None, subject: Subject) -> bool:
    """Whether running ``part`` has used the value in a way that fails on nil, so that it is there afterwards."""
    return any(fails_on_nil(_outermost(node)) and _always_runs(node, part) for node in subject.mentioned(part))


def _outermost(node: Node) -> Node:
    while node.parent is not None and node.parent.type in ("parenthesized_expression", "cast_expression"):
        node = node.parent
    return node


def _always_runs(node: Node, part: Node) -> bool:
    while node is not part:
        parent = node.parent
        if parent is None or parent.type in FUNCTIONS or parent.type == "block":
            return False
        if node.field == "right" and parent.operator in ("and", "or"):
            return False
        if parent.type in ("if_expression", "elseif_clause", "else_clause") and node.field != "condition":
            return False
        if node.field == "alternative":
            return False
        node = parent
    return True


def _has_break(loop: Node) -> bool:
    def is_own(node: Node) -> bool:
        return next(above for above in node.ancestors() if above.type in LOOPS) is loop

    return any(node.type == "break_statement" and is_own(node) for node in loop.walk())
