"""Loops over tables: what their bodies do to the table and to the loop's own variables."""

from collections.abc import Iterator
from itertools import takewhile

from luau_rft.luau.literals import number
from luau_rft.luau.scopes import resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, arguments, callee, strip
from luau_rft.scorers.base import Hit


def mutating_while_iterating(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Removing from, or inserting into, the table that a loop is going through, without leaving the loop right after.

    Bad:
        local list = workspace:GetChildren()
        for i, part in ipairs(list) do
            if part.Name == "Old" then
                table.remove(list, i)
            end
        end
    Bad:
        local list = workspace:GetChildren()
        for i = 1, #list do
            if list[i].Name == "Old" then
                table.remove(list, i)
            end
        end
    Good:
        local list = workspace:GetChildren()
        for i = #list, 1, -1 do
            if list[i].Name == "Old" then
                table.remove(list, i)
            end
        end
    Good:
        local list = workspace:GetChildren()
        for i, part in ipairs(list) do
            if part.Name == "Old" then
                table.remove(list, i)
                break
            end
        end
    """
    for call in tree.calls("table.remove", "table.insert"):
        given = arguments(call)
        if not given:
            continue
        is_removal = callee(call) == "table.remove"
        for loop in _loops_around(call):
            if _iterates(loop, given, is_removal):
                if not _leaves_after(call, loop):
                    what = "removing from" if is_removal else "inserting into"
                    yield (
                        call,
                        f"{what} the table that the loop on line {loop.line} goes through: {_ADVICE[is_removal]}",
                    )
                break


_ADVICE = {True: "elements are skipped, so go backwards by index", False: "gather the new elements in another table"}


def loop_variable_assignment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Setting the variable of a numeric loop, which does not change how the loop goes on, and not reading it after.

    Bad:
        for i = 1, 10 do
            workspace:SetAttribute("Step", i)
            i = i + 1
        end
    Good:
        for i = 1, 10, 2 do
            workspace:SetAttribute("Step", i)
        end
    """
    for variable in resolve(tree).variables:
        if variable.kind != "loop" or not variable.writes or variable.node.parent.type != "for_numeric_clause":
            continue
        last_read = max((read.start for read in variable.reads), default=-1)
        for write in variable.writes:
            statement = write.parent.parent if write.parent.type == "variable_list" else write.parent
            inner = next(above for above in write.ancestors() if above.type in LOOPS)
            is_own = inner is variable.node.parent.parent
            if is_own and last_read < statement.end:
                yield write, f"setting `{variable.name}` does not change how the loop goes on: use its step, or `while`"


def manual_table_clone(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop that only copies each key and value of a table into a new one, as ``table.clone`` does.

    Bad:
        local prices = { Sword = 100 }
        local copy = {}
        for name, price in pairs(prices) do
            copy[name] = price
        end
        return copy
    Good:
        local prices = { Sword = 100 }
        local copy = table.clone(prices)
        return copy
    Like: selene manual_table_clone
    """
    scopes = resolve(tree)
    for clause in tree.of("for_generic_clause"):
        loop, names = clause.parent, clause.children[0].all("name") if clause.children else []
        body = loop.get("body")
        if len(names) != 2 or body is None or len(body.children) != 1:
            continue
        if _iterated(clause).type not in ("identifier", "dot_index_expression"):
            continue
        if body.children[0].type != "assignment_statement":
            continue
        targets, values = targets_and_values(body.children[0])
        copied = [target for target in targets if target.type == "bracket_index_expression"]
        if len(targets) != 1 or not copied or len(values) != 1:
            continue
        table, key = copied[0].get("table"), copied[0].get("field")
        copy = scopes.of.get(table)
        if copy is None or scopes.of.get(key) is not scopes.of.get(names[0]):
            continue
        if copy.value is None or copy.value.type != "table_constructor" or copy.value.children:
            continue
        is_copied = scopes.of.get(values[0]) is scopes.of.get(names[1])
        if is_copied and copy.node in targets_and_values(_previous(loop))[0]:
            yield loop, f"this loop copies a table as it is: `local {copy.name} = table.clone(...)` does the same"


def _loops_around(node: Node) -> Iterator[Node]:
    """The ``for`` loops around ``node`` in the same function, the innermost first."""
    for above in node.ancestors():
        if above.type in FUNCTIONS:
            return
        if above.type == "for_statement":
            yield above


def _iterates(loop: Node, given: list[Node], is_removal: bool) -> bool:
    """Whether ``loop`` goes through the table that is changed, in a way that the change upsets."""
    clause = loop.get("clause")
    if clause is None:
        return False
    if clause.type == "for_numeric_clause":
        return is_removal and _counts_up(clause, given)
    if not _same(_iterated(clause), given[0]):
        return False
    # What is appended, ipairs visits as well.
    return is_removal or len(given) > 2 or not clause.tree.data.startswith(b"ipairs", _values(clause)[0].start)


def _values(clause: Node) -> list[Node]:
    return [value for part in clause.children if part.type == "expression_list" for value in part.children]


def _iterated(clause: Node) -> Node:
    """The table that a loop goes through, by ``pairs``, ``ipairs``, ``next`` or as it is; else the whole clause."""
    values = _values(clause)
    if not values:
        return clause
    value = strip(values[0])
    if value.type == "function_call" and callee(value) in ("pairs", "ipairs") and arguments(value):
        return strip(arguments(value)[0])
    return strip(values[1]) if value.type == "identifier" and value.text == "next" and len(values) > 1 else value


def _counts_up(clause: Node, given: list[Node]) -> bool:
    """Whether the loop counts from 1 to the length of the table, and the element at its variable is removed."""
    low, high, step = clause.get("start"), clause.get("end"), clause.get("step")
    if low is None or high is None or len(given) < 2 or (step is not None and (number(step) or -1) < 0):
        return False
    scopes = resolve(clause.tree)
    at = scopes.of.get(strip(given[1]))
    length = high.get("operand") if high.type == "unary_expression" and high.operator == "#" else None
    return length is not None and _same(length, given[0]) and at is not None and at is scopes.of.get(clause.get("name"))


def _same(a: Node, b: Node) -> bool:
    """Whether two expressions name the same table: a local, or fields of one."""
    if a.type not in ("identifier", "dot_index_expression") or a.type != b.type or a.end - a.start > 100:
        return False
    scopes = resolve(a.tree)
    return a.text == b.text and (a.type != "identifier" or scopes.of.get(a) is scopes.of.get(b))


def _leaves_after(statement: Node, loop: Node) -> bool:
    """Whether what follows ``statement`` leaves ``loop`` before it goes on."""
    path = list(takewhile(lambda above: above is not loop, statement.ancestors()))
    inner_loops = sum(above.type in LOOPS for above in path)
    for above in path:
        last = above.children[-1].type if above.type == "block" else ""  # nothing may follow a break or return
        if last == "return_statement" or (last == "break_statement" and not inner_loops):
            return True
        inner_loops -= above.type in LOOPS
    return False


def _previous(statement: Node) -> Node:
    siblings = statement.parent.children
    return siblings[siblings.index(statement) - 1]
