"""Functions and blocks of sensible size, each thing once."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from luau_rft.luau.shapes import Shape, shape
from luau_rft.luau.tree import FUNCTIONS, LOOPS, STATEMENTS, Node, Tree, callee
from luau_rft.scorers.base import Hit

MIN_REPEATED, MAX_REPEATED = 12, 60  # characters, blanks left out


def repetition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The same statement stands there for the third time: in one block, or anywhere if it is long.

    Bad:
        workspace:SetAttribute("Round", 1)
        workspace:SetAttribute("Round", 1)
        workspace:SetAttribute("Round", 1)
    Good:
        for round = 1, 3 do
            workspace:SetAttribute("Round", round)
        end
    """
    alike: dict[tuple[int, str], list[Node]] = {}
    for node in tree.of(*STATEMENTS):
        if node.end - node.start >= MIN_REPEATED:
            alike.setdefault((node.end - node.start, node.type), []).append(node)
    counts: dict[tuple[Node | None, bytes], int] = {}
    for nodes in alike.values():
        if len(nodes) < 3:
            continue
        for node in nodes:
            text = b"".join(tree.data[node.start : node.end].split())
            place = node.parent if len(text) < MAX_REPEATED else None  # short ones count in the same block only
            counts[place, text] = counts.get((place, text), 0) + 1
            if counts[place, text] > 2 and len(text) >= MIN_REPEATED and node.is_statement:
                yield node, "this statement was there twice before: use a loop or a function"


MIN_BLOCK = 5  # statements, the one that holds the others among them
LONGEST_RUN = 12  # statements


def repeated_block(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function, a handler or a run of statements is there for the third time, with other names and numbers.

    Bad:
        local a = Instance.new("Part")
        a.Size = Vector3.new(1, 2, 3)
        a.Parent = workspace
        local b = Instance.new("Part")
        b.Size = Vector3.new(4, 5, 6)
        b.Parent = workspace
        local c = Instance.new("Part")
        c.Size = Vector3.new(7, 8, 9)
        c.Parent = workspace
    Good:
        for i = 1, 3 do
            local part = Instance.new("Part")
            part.Size = Vector3.new(i, i, i)
            part.Parent = workspace
        end
    """
    for node in (*_repeated_statements(tree), *_repeated_runs(tree)):
        yield node, "this code was there twice before, with other names or numbers: make a function of it"


def _repeated_statements(tree: Tree) -> Iterator[Node]:
    """Statements with a body of some length, from the third that looks the same; those inside them are left out."""
    starts = [node.start for node in tree.of(*STATEMENTS) if node.is_statement]
    alike: dict[tuple[str, int, int], list[Node]] = {}
    seen = -1
    for node in tree.of(*STATEMENTS):
        if not node.is_statement or node.start == seen:
            continue
        seen = node.start
        inside = bisect_left(starts, node.end) - bisect_left(starts, node.start)
        if inside >= MIN_BLOCK:
            alike.setdefault((node.type, inside, node.size), []).append(node)
    flagged_until = 0
    found = []
    for nodes in alike.values():
        counts: dict[Shape, int] = {}
        for node in nodes if len(nodes) > 2 else ():
            copy = shape(node, texts=False)
            counts[copy] = counts.get(copy, 0) + 1
            if counts[copy] > 2:
                found.append(node)
    for node in sorted(found, key=lambda node: node.start):
        if node.start >= flagged_until:
            flagged_until = node.end
            yield node


def _repeated_runs(tree: Tree) -> Iterator[Node]:
    """The first statement of each run of 3 to 12 simple statements, from the third time in a row."""
    for block in tree.of("block", "chunk"):
        children = block.children
        if len(children) < 9:
            continue
        sizes = Counter((child.type, child.size) for child in children)
        shapes = [
            shape(child, texts=False)
            if sizes[child.type, child.size] > 2 and child.end - child.start < 300
            else (index,)  # like no other
            for index, child in enumerate(children)
        ]
        place = 0
        while place < len(shapes):
            length = next((n for n in range(3, LONGEST_RUN + 1) if _same(shapes, place, n, 3)), 0)
            if not length or len(set(shapes[place : place + length])) < 2:
                place += 1
                continue
            place += 2 * length
            while shapes[place : place + length] == shapes[place - length : place]:
                yield children[place]
                place += length


def _same(shapes: list[Shape], place: int, length: int, times: int) -> bool:
    """Whether a run of statements is followed by others that look the same."""
    if place + times * length > len(shapes) or shapes[place] != shapes[place + length]:
        return False
    run = shapes[place : place + length]
    return all(shapes[place + i * length : place + (i + 1) * length] == run for i in range(1, times))


MAX_FUNCTION_LINES = 60
MAX_STATEMENTS = 50
_RUN_IN_PLACE = frozenset({"pcall", "xpcall", "task.spawn", "task.defer", "spawn", "coroutine.wrap"})


def long_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function has more than 60 lines or 50 statements; those of functions inside it count if they run in place.

    Bad:
        local function build(name)
            script[name]:Clone().Parent = workspace
        end
        local function buildCastle()
            build("Gate"); build("Bridge"); build("Moat"); build("Yard"); build("Well")
            build("Stable"); build("Forge"); build("Kitchen"); build("Pantry"); build("Cellar")
            build("Hall"); build("Throne"); build("Chapel"); build("Crypt"); build("Vault")
            build("Armoury"); build("Barracks"); build("Tower"); build("Keep"); build("Turret")
            build("Rampart"); build("Library"); build("Study"); build("Gallery"); build("Nursery")
            build("Bedroom"); build("Bath"); build("Attic"); build("Loft"); build("Pigeonry")
            build("Kennel"); build("Garden"); build("Orchard"); build("Pond"); build("Fountain")
            build("Maze"); build("Arbour"); build("Lawn"); build("Terrace"); build("Balcony")
            build("Stairs"); build("Lift"); build("Tunnel"); build("Cave"); build("Dungeon")
            build("Cell"); build("Gallows"); build("Pillory"); build("Market"); build("Stall")
            build("Bakery"); build("Brewery"); build("Dairy"); build("Mill"); build("Barn")
        end
        buildCastle()
    Good:
        local function buildCastle()
            for _, part in script:GetChildren() do
                part:Clone().Parent = workspace
            end
        end
        buildCastle()
    """
    functions = list(tree.of(*FUNCTIONS))
    lines = {function: function.last_line - function.line + 1 for function in functions}
    own_lines = dict(lines)
    statements = dict.fromkeys(functions, 0)
    around: list[Node] = []
    for node in tree.of(*STATEMENTS, "function_definition"):
        while around and around[-1].end <= node.start:
            around.pop()
        if around and node.is_statement:
            statements[around[-1]] += 1
        if node.type in FUNCTIONS and not _runs_in_place(node):
            if around:
                own_lines[around[-1]] -= lines[node] - 1
            around.append(node)
    for function in functions:
        is_long = own_lines[function] > MAX_FUNCTION_LINES or statements[function] > MAX_STATEMENTS
        if is_long and not _runs_in_place(function):
            yield function, f"this function has {lines[function]} lines: split it"


def _runs_in_place(function: Node) -> bool:
    """``(function() ... end)()``, ``pcall(function() ... end)``: the code is part of what is around it."""
    above = function.parent
    if above is None or function.type != "function_definition":
        return False
    if above.type == "arguments":
        return above.parent is not None and callee(above.parent) in _RUN_IN_PLACE
    return above.type == "parenthesized_expression" and above.field == "name"


MAX_BRANCHES = 25


def complex_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function has more than 25 branches: conditions, loops, ``and`` and ``or``.

    Bad:
        local function price(n)
            return n == 1 and 1 or n == 2 and 2 or n == 3 and 3 or n == 4 and 4 or n == 5 and 5 or n == 6 and 6
                or n == 7 and 7 or n == 8 and 8 or n == 9 and 9 or n == 10 and 10 or n == 11 and 11
                or n == 12 and 12 or n == 13 and 13 or n == 14 and 14
        end
        workspace:SetAttribute("Price", price(3))
    Good:
        local PRICES = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 }
        local function price(n)
            return PRICES[n]
        end
        workspace:SetAttribute("Price", price(3))
    Like: selene high_cyclomatic_complexity
    """
    kinds = ("if_statement", "elseif_statement", "if_expression", "binary_expression", *LOOPS)
    branches: dict[Node, int] = {}
    around: list[Node] = []
    for node in tree.of(*FUNCTIONS, *kinds):
        while around and around[-1].end <= node.start:
            around.pop()
        if node.type in FUNCTIONS:
            around.append(node)
        elif around and (node.type != "binary_expression" or node.operator in ("and", "or")):
            branches[around[-1]] = branches.get(around[-1], 0) + 1
    for function, count in branches.items():
        if count > MAX_BRANCHES:
            yield function, f"this function has {count} branches: split it, or look the answer up in a table"


MAX_NESTING = 5


def deep_nesting(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Code is nested more than five levels deep; each further level is found.

    Bad:
        for _, a in workspace:GetChildren() do
            for _, b in a:GetChildren() do
                if b.Name == "B" then
                    for _, c in b:GetChildren() do
                        if c.Name == "C" then
                            if c.Transparency == 1 then
                                c:Destroy()
                            end
                        end
                    end
                end
            end
        end
    Good:
        for _, part in workspace:GetDescendants() do
            if part.Name == "C" and part.Transparency == 1 then
                part:Destroy()
            end
        end
    """
    around: list[int] = []  # where the blocks around end
    for block in tree.of("block"):
        while around and around[-1] <= block.start:
            around.pop()
        around.append(block.end)
        if len(around) > MAX_NESTING:
            yield block, f"nested {len(around)} levels deep: return early, or make a function of it"
