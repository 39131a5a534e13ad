"""Tables used as sequences: their bounds, and whether they are sequences at all."""

from collections.abc import Iterator

from luau_rft.luau.functions import fewest_results, own_calls
from luau_rft.luau.literals import number
from luau_rft.luau.scopes import Variable, resolve
from luau_rft.luau.tree import Node, Tree, arguments, callee, fact, method, strip
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import infer
from luau_rft.scorers.base import Hit

_SEQUENCES = frozenset(
    {"GetChildren", "GetDescendants", "GetPlayers", "GetTagged", "GetTouchingParts", "GetPlayingAnimationTracks"}
)
_SEQUENCE_CALLS = frozenset({"string.split", "table.pack", "table.create"})


def for_range(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A numeric loop that never runs, or stops before its written end, because of its bounds and step.

    Bad:
        local list = workspace:GetChildren()
        for i = #list, 1 do
            list[i]:Destroy()
        end
    Bad:
        for i = 10, 1 do
            workspace.Gravity = i
        end
    Bad:
        for i = 1, 10, -1 do
            workspace.Gravity = i
        end
    Good:
        local list = workspace:GetChildren()
        for i = #list, 1, -1 do
            list[i]:Destroy()
        end
    Like: Luau ForRange, selene suspicious_reverse_loop
    """
    for clause in tree.of("for_numeric_clause"):
        start, end = clause.get("start"), clause.get("end")
        if start is None or end is None:
            continue
        step = 1.0 if clause.get("step") is None else number(clause.get("step"))
        first, last = number(start), number(end)
        if step == 0:
            yield clause, "the step is 0, so this loop never ends"
        elif step is not None and first is not None and last is not None:
            if (last - first) * step < 0:
                yield clause, f"this loop never runs: its step must be {'-1' if last < first else 'positive'}"
            elif step == 1 and (last - first) % 1:
                yield clause, f"this loop ends before {end.text}: write the step"
        elif step is not None and step > 0 and _length_of(start) is not None and last in (0.0, 1.0):
            yield clause, "to go backwards, this loop needs the step -1"
        elif step is not None and step < 0 and first in (0.0, 1.0) and _length_of(end) is not None:
            yield clause, "this loop starts at its low end, so its step cannot be negative"


def table_operations(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A call of the table library whose position or value is surely not the one that was meant.

    Bad:
        local list = { 1, 2 }
        table.insert(list, 0, 3)
        workspace.Gravity = list[1]
    Bad:
        local list = { 1, 2 }
        table.insert(list, #list, 3)
        workspace.Gravity = list[3]
    Bad:
        local rows = table.create(3, {})
        rows[1][1] = workspace.Gravity
    Bad:
        local words = {}
        table.insert(words, string.gsub(workspace.Name, "a", "b"))
    Good:
        local list = { 1, 2 }
        table.insert(list, 1, 3)
        table.insert(list, 3)
        workspace.Gravity = list[1]
    Like: Luau TableOperations
    """
    if not (calls := tree.calls("table.insert", "table.remove", "table.move", "table.create")):
        return
    own = own_calls(tree)
    giving = {function for function in {call.function for call in own} if fewest_results(function) > 1}
    several = {call.node for call in own if call.function in giving}
    for call in calls:
        name, given = callee(call), [strip(argument) for argument in arguments(call)]
        if len(given) < 2:
            continue
        at, table = given[1], given[0].text
        if name == "table.create":
            if at.type == "table_constructor":
                yield at, "every element is this same table: fill the table in a loop"
        elif name == "table.move":
            positions = given[1:4:2]
            yield from ((place, "positions count from 1, not from 0") for place in positions if number(place) == 0)
        elif name == "table.insert" and len(given) == 2:
            last = arguments(call)[1]  # parentheses cut its values down to one
            if last.type == "function_call" and (last in several or _gives_several(last)):
                yield at, "this call gives more than one value: put it in parentheses"
        elif number(at) == 0:
            yield at, "positions count from 1, not from 0"
        elif name == "table.insert" and _length_of(at) == (table, 0):
            yield at, "this inserts before the last element: leave the position out to append"
        elif name == "table.remove" and _length_of(at) == (table, -1) and at is arguments(call)[1]:
            yield at, "this removes the last element but one: leave the position out to remove the last"


def off_by_one(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Reading a table just outside of its bounds: before 1 or after its length.

    Bad:
        local list = workspace:GetChildren()
        for i = 0, #list - 1 do
            list[i]:Destroy()
        end
    Bad:
        local list = workspace:GetChildren()
        local last = list[#list + 1]
        last:Destroy()
    Bad:
        local list = workspace:GetChildren()
        list[math.random(0, #list)]:Destroy()
    Good:
        local list = workspace:GetChildren()
        for i = 0, #list - 1 do
            list[i + 1]:Destroy()
        end
    Good:
        local list = {}
        list[#list + 1] = workspace.Name
    """
    for index in tree.of("bracket_index_expression"):
        key, table = index.get("field"), index.get("table")
        if key is None or table is None or _is_set(index) or table.end - table.start > 100:
            continue
        key, table_text = strip(key), table.text
        if _length_of(key) == (table_text, 1):
            if not _is_asked(index):
                yield index, f"nothing stands behind the last element, {table_text}[#{table_text}]"
        elif key.type == "function_call" and callee(key) == "math.random" and len(arguments(key)) == 2:
            low, high = arguments(key)
            if number(low) == 0 and _length_of(high) in ((table_text, 0), (table_text, -1)):
                yield index, f"elements count from 1: write math.random(#{table_text})"
        elif key.type == "identifier" and not _is_asked(index):
            yield from _outside_loop(index, key, table_text)


def zero_based_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Reading element 0 of a table whose elements are known to count from 1.

    Bad:
        local parts = string.split(workspace.Name, " ")
        workspace.Name = parts[0]
    Good:
        local parts = string.split(workspace.Name, " ")
        workspace.Name = parts[1]
    """
    for index in tree.of("bracket_index_expression"):
        key, table = index.get("field"), index.get("table")
        if key is None or table is None or key.type != "number" or key.text != "0" or _is_set(index):
            continue
        table = strip(table)
        variable = resolve(tree).of.get(table)
        if variable is not None:
            if variable.writes or variable.value is None or variable in _with_zero(tree):
                continue
            table = strip(variable.value)
        if _is_sequence(table):
            yield index, "elements count from 1, so element 0 is nil"


def length_of_dictionary(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The length of a table that holds no sequence, which is always 0.

    Bad:
        local prices = { Sword = 100, Shield = 50 }
        workspace.Gravity = #prices
    Good:
        local prices = { Sword = 100, Shield = 50 }
        local count = 0
        for _ in prices do
            count += 1
        end
        workspace.Gravity = count
    """
    for variable in _dictionaries(tree):
        for read in variable.reads:
            if read.parent.type == "unary_expression" and read.parent.operator == "#":
                yield read.parent, f"`{variable.name}` has named keys only, so its length is 0: count them in a loop"


def ipairs_of_dictionary(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A loop with ``ipairs`` over a table that holds no sequence, which never runs.

    Bad:
        local prices = { Sword = 100, Shield = 50 }
        for name, price in ipairs(prices) do
            workspace:SetAttribute(name, price)
        end
    Good:
        local prices = { Sword = 100, Shield = 50 }
        for name, price in prices do
            workspace:SetAttribute(name, price)
        end
    """
    for variable in _dictionaries(tree):
        for read in variable.reads:
            if read.parent.type == "arguments" and callee(read.parent.parent) == "ipairs":
                yield read.parent.parent, f"`{variable.name}` has named keys only: iterate over it without ipairs"
    for call in tree.calls("ipairs"):
        table = strip(arguments(call)[0]) if arguments(call) else call
        if table.type == "table_constructor" and not tree.errors:
            keys = [(field.get("name"), _is_computed(field)) for field in table.children]
            if keys and all(map(_is_named, keys)):
                yield call, "this table has named keys only: iterate over it without ipairs"


def _length_of(node: Node | None) -> tuple[str, int] | None:
    """The table and the difference of ``#table``, ``#table + 1`` and the like."""
    if node is None or node.end - node.start > 120:
        return None
    node, difference = strip(node), 0
    if node.type == "binary_expression" and node.operator in ("+", "-"):
        by = number(node.get("right"))
        if by is None or by % 1:
            return None
        difference = int(by) if node.operator == "+" else -int(by)
        node = strip(node.get("left"))
    if node.type != "unary_expression" or node.operator != "#":
        return None
    operand = node.get("operand")
    return (operand.text, difference) if operand is not None else None


def _gives_several(call: Node) -> bool:
    name = method(call)
    return callee(call) in ("string.gsub", "string.find", "math.modf", "math.frexp") or (
        name == "gsub" and len(arguments(call)) > 1
    )


def _is_set(index: Node) -> bool:
    return (
        index.field == "name"
        and index.parent is not None
        and index.parent.type in ("variable_list", "update_statement")
    )


def _is_asked(index: Node) -> bool:
    """Whether the program looks whether the value is there."""
    parent = index.parent
    if parent is None or index.field == "condition":
        return True
    asking = ("and", "or", "==", "~=", "not")
    return parent.operator in asking or (parent.type == "arguments" and callee(parent.parent) == "assert")


def _outside_loop(index: Node, key: Node, table: str) -> Iterator[Hit]:
    """The finding where the loop that counts ``key`` starts before or ends after the table."""
    variable = resolve(index.tree).of.get(key)
    if variable is None or variable.kind != "loop" or variable.writes:
        return
    clause = variable.node.parent
    if clause is None or clause.type != "for_numeric_clause":
        return
    low, high, step = clause.get("start"), clause.get("end"), clause.get("step")
    if step is not None and (number(step) or 0) < 0:
        low, high = high, low
    bound = _length_of(high)
    if bound is None or bound[0] != table:
        return
    if number(low) == 0 and (bound[1] == -1 or (bound[1] == 0 and not _has_zero(index.get("table")))):
        yield index, "elements count from 1: let the loop go from 1 to the length"
    elif bound[1] == 1:
        yield index, "the loop goes one beyond the last element"


def _has_zero(table: Node) -> bool:
    """Whether a table may have an element 0: something sets it, or where the table comes from is not in sight."""
    variable = resolve(table.tree).of.get(strip(table))
    if variable is None or variable.writes or variable in _with_zero(table.tree):
        return True
    if variable.value is None:
        return variable.kind != "parameter"
    value = strip(variable.value)
    return not (value.type == "table_constructor" and not value.children) and not _is_sequence(value)


@fact
def _with_zero(tree: Tree) -> frozenset[Variable]:
    """The locals whose element 0, or a computed one, is set somewhere."""
    of = resolve(tree).of
    indices = (index for index in tree.of("bracket_index_expression") if _is_set(index))
    keys = ((index.get("table"), index.get("field")) for index in indices)
    return frozenset(
        of[table] for table, key in keys if table in of and (key is None or key.text == "0" or key.type != "number")
    )


def _is_sequence(value: Node) -> bool:
    if value.type == "table_constructor":
        return bool(value.children) and all(field.get("name") is None for field in value.children)
    if value.type != "function_call":
        return False
    name = method(value)
    return callee(value) in _SEQUENCE_CALLS or name in _SEQUENCES or (name == "split" and len(arguments(value)) < 2)


@fact
def _dictionaries(tree: Tree) -> tuple[Variable, ...]:
    """The locals that hold tables which get named keys and nothing else, all uses of them being known."""
    if tree.errors:
        return ()
    suspects = [v for v in resolve(tree).variables if v.kind == "local" and not v.writes and _is_measured(v)]
    return tuple(variable for variable in suspects if _is_dictionary(variable))


def _is_measured(variable: Variable) -> bool:
    value = variable.value
    return value is not None and value.type == "table_constructor" and any(map(_measures, variable.reads))


def _measures(read: Node) -> bool:
    parent = read.parent
    return parent.operator == "#" or (parent.type == "arguments" and callee(parent.parent) == "ipairs")


def _is_dictionary(variable: Variable) -> bool:
    keys = [(field.get("name"), _is_computed(field)) for field in variable.value.children]
    for read in variable.reads:
        index = read.parent
        if read.field == "table" and index.type in ("dot_index_expression", "bracket_index_expression"):
            if _is_set(index):
                keys.append((index.get("field"), index.type == "bracket_index_expression"))
        elif not _measures(read) and not _only_read(read):
            return False
    return bool(keys) and all(map(_is_named, keys))


def _is_computed(field: Node) -> bool:
    return field.tree.data[field.start : field.start + 1] == b"["


def _is_named(key: tuple[Node | None, bool]) -> bool:
    """Whether a key, given with whether it is computed, is a name or certainly no number."""
    name, is_computed = key
    return name is not None and (not is_computed or _is_name(name))


def _is_name(key: Node) -> bool:
    """Whether a computed key is a string or an instance for sure."""
    found = infer(key.tree).type_of(key)
    return found is not None and (found.name == "string" or found.name in database().classes)


def _only_read(read: Node) -> bool:
    """Whether the table is only gone through or shown here."""
    parent = read.parent
    if parent.type == "arguments":
        return callee(parent.parent) in ("pairs", "next", "print", "table.freeze")
    return parent.type == "expression_list" and parent.parent.type == "for_generic_clause"
