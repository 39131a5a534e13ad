"""Lines show how the code is built."""

from collections.abc import Iterator

from luau_rft.luau.scopes import targets_and_values
from luau_rft.luau.tree import Node, Tree
from luau_rft.scorers.base import Hit


def _indent(node: Node) -> bytes | None:
    """The blanks before a node that starts its line, None for any other."""
    data = node.tree.data
    before = data[data.rfind(b"\n", 0, node.start) + 1 : node.start]
    return before if not before or before.isspace() else None


def _line_indent(node: Node) -> bytes:
    """The blanks that the line of a node starts with."""
    data = node.tree.data
    start = data.rfind(b"\n", 0, node.start) + 1
    line = data[start : node.start + 1]
    return line[: len(line) - len(line.lstrip())]


def indentation(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A statement inside a block is not indented more than the block, or not like its neighbours.

    Bad:
        if workspace.Name == "Arena" then
        workspace.Gravity = 50
        end
    Good:
        if workspace.Name == "Arena" then
            workspace.Gravity = 50
        end
    """
    data = tree.data
    for block in tree.of("block"):
        first = block.children[0] if block.children else None
        own = _indent(first) if first is not None else None
        if own is None:
            continue
        around = next((above for above in block.ancestors() if above.is_statement), None)
        if around is None or b"\n" not in data[around.start : first.start]:
            continue
        if len(own) <= len(_line_indent(around)):
            yield first, "indent what stands inside a block"
        for node in block.children[1:]:
            if _indent(node) not in (None, own):
                yield node, "indent the statements of a block alike"


def crammed_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Several statements share a line.

    Bad:
        workspace.Name = "Arena" workspace.Gravity = 50
    Good:
        workspace.Name = "Arena"
        workspace.Gravity = 50
    Like: selene multiple_statements, Luau SameLineStatement
    """
    broken = {error.line for error in tree.errors}  # what looks like a statement there is one by chance
    for block in tree.of("block", "chunk"):
        for before, after in zip(block.children, block.children[1:], strict=False):
            is_crammed = after.is_statement and b"\n" not in tree.data[before.end - 1 : after.start]
            if is_crammed and after.line not in broken:
                yield after, "start a new line for this statement"


MAX_LINE = 120


def long_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A line has more than 120 characters; one with a web address may.

    Bad:
        local door = workspace.Castle.Rooms.Hall.Doors:FindFirstChild("Front door of the hall") \
or workspace.Castle.Rooms.Hall.Doors
        door.Name = "Main door"
    Good:
        local doors = workspace.Castle.Rooms.Hall.Doors
        local door = doors:FindFirstChild("Front door of the hall") or doors
        door.Name = "Main door"
    """
    for number, line in enumerate(tree.source.split("\n"), start=1):
        if len(line) > MAX_LINE / 4 and len(line.expandtabs(4)) > MAX_LINE and "://" not in line:
            yield number, f"this line has {len(line)} characters: break it"


def parenthesized_condition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A condition stands in parentheses, which Luau does not need.

    Bad:
        if (workspace.Name == "Arena") then
            workspace.Gravity = 50
        end
    Good:
        if workspace.Name == "Arena" then
            workspace.Gravity = 50
        end
    Like: selene parenthese_conditions
    """
    for node in tree.of("if_statement", "elseif_statement", "while_statement", "repeat_statement"):
        condition = node.get("condition")
        if condition is None or condition.type != "parenthesized_expression":
            continue
        if b"\n" not in tree.data[condition.start : condition.end]:
            yield condition, "leave out the parentheses around the condition"


def continued_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A statement goes on in the next line, and that is not indented.

    Bad:
        workspace.Name =
        "Arena"
    Good:
        workspace.Name =
            "Arena"
    Like: Luau MultiLineStatement
    """
    for statement in tree.of("variable_declaration", "assignment_statement", "update_statement"):
        for value in targets_and_values(statement)[1] if statement.is_statement else ():
            indent = _indent(value)
            if indent is not None and len(indent) <= len(_line_indent(statement)) and value.start > statement.start:
                yield value, "indent the line: it belongs to the statement before"
