"""Breaks a good program in one place, in a known way, so that it can be measured whether the scorers see it.

Where a fault of a kind can be put is found from the syntax tree and the API database alone (``receivers.py``), not with
the help of what is measured. A kind is a function that yields the edits it can make to a program:

    dropped_end      an ``end`` is missing
    python           a word of Python that Luau cannot read: elif, !=, # comment, `:` for then, def, import
    python_constant  None, True, False: to Luau these are globals that nobody has set
    misspelt_local   one use of a local has a letter too few, doubled or swapped, which makes it a name of nothing
    misspelt_method  the same for a method, where the class of the receiver is known
    wrong_service    GetService of a name that is no service, or of another service, which lacks a member that is used
    deprecated       a current member or global replaced by the deprecated one that the database says it replaces
    nil_check        what may be nil is used without having been checked
    pcall            a call that can fail any time is no longer protected
    loop_yield       an endless loop has lost its only yield
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from bench.receivers import Names, function_around, is_indexed, literal, sides
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, arguments, callee, method, parse
from luau_rft.roblox.api import Member, database

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the bytes from ``start`` to ``end`` by ``text``; ``form`` names the variety of the fault."""

    start: int
    end: int
    text: str
    form: str = ""

    def apply(self, source: str) -> str:
        data = source.encode()
        return (data[: self.start] + self.text.encode() + data[self.end :]).decode()


@dataclass(frozen=True, slots=True)
class Kind:
    """``scorer`` names the score that has to fall, ``goal`` the share of mutants for which it should."""

    find: Callable[[Names, random.Random], Iterator[Edit]]
    scorer: str
    goal: float
    compiles: bool = True


def mutants(source: str, kind: str, seed: str, most: int | None = None) -> tuple[int, list[Edit]]:
    """How many places of a program a fault of that kind fits, and up to ``most`` such edits, chosen by ``seed``.

    A program that does not compile has no place for a fault.

    >>> edits = mutants("while true do task.wait() end", "loop_yield", "1")[1]
    >>> edits[0].apply("while true do task.wait() end")
    'while true do  end'
    """
    if compile_error(source) is not None:
        return 0, []
    rng = random.Random(f"{seed}:{kind}")
    edits = list(KINDS[kind].find(Names(parse(source)), rng))
    rng.shuffle(edits)
    chosen: list[Edit] = []
    for edit in spread(edits, lambda edit: edit.form):
        if len(chosen) == most:
            break
        if (compile_error(edit.apply(source)) is None) is KINDS[kind].compiles:
            chosen.append(edit)
    return len(edits), chosen


def spread(items: Iterable[Item], group: Callable[[Item], Hashable]) -> list[Item]:
    """The items with the groups taking turns, so that the first few come from many groups.

    >>> spread([11, 12, 21, 13, 22], lambda item: item // 10)
    [11, 21, 12, 22, 13]
    """
    taken: Counter[Hashable] = Counter()
    ranked: list[tuple[int, Item]] = []
    for item in items:
        ranked.append((taken[group(item)], item))
        taken[group(item)] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


def dropped_end(names: Names, rng: random.Random) -> Iterator[Edit]:
    for node in names.tree.of(*_ENDED):
        if names.tree.data[node.end - 3 : node.end] == b"end":
            yield Edit(node.end - 3, node.end, "", node.type)


_ENDED = (
    "function_declaration", "function_definition", "if_statement", "for_statement", "while_statement", "do_statement",
)  # fmt: skip


def python(names: Names, rng: random.Random) -> Iterator[Edit]:
    tree = names.tree
    for node in tree.nodes:
        if node.type == "binary_expression" and node.operator == "~=":
            yield from _replaced(tree, node.get("left").end, "~=", "!=")
        elif node.type == "elseif_statement":
            yield Edit(node.start, node.start + 6, "elif", "elif")
        elif node.type == "if_statement":
            yield from _replaced(tree, node.get("condition").end, "then", ":")
        elif node.type == "for_statement" and node.get("clause") is not None:
            yield from _replaced(tree, node.get("clause").end, "do", ":")
        elif node.type == "function_declaration" and node.field == "local_declaration":
            yield Edit(node.start, node.get("name").start, "def ", "def")
        elif node.type == "variable_declaration":
            left, right = sides(node)
            if len(left) == len(right) == 1 and right[0].type == "function_call" and callee(right[0]) == "require":
                yield Edit(node.start, node.end, f"import {left[0].text}", "import")
    for comment in tree.comments:
        if tree.data[comment.start : comment.start + 3] == b"-- ":
            yield Edit(comment.start, comment.start + 2, "#", "#")


def _replaced(tree: Tree, after: int, word: str, by: str) -> Iterator[Edit]:
    if tree.data[after:].lstrip().startswith(word.encode()):
        start = tree.data.index(word.encode(), after)
        yield Edit(start, start + len(word), by, by if by != ":" else f"{word} :")


def python_constant(names: Names, rng: random.Random) -> Iterator[Edit]:
    for node in names.tree.of("nil", "true", "false"):
        word = {"nil": "None"}.get(node.type, node.type.title())
        if not re.search(rf"\b{word}\b", names.tree.source):
            yield Edit(node.start, node.end, word, node.type)


def misspelt_local(names: Names, rng: random.Random) -> Iterator[Edit]:
    taken = {*_known_globals(), *re.findall(r"\w+", names.tree.source)}
    for uses in names.uses.values():
        for use in uses:
            wrong = _misspelt(use.text, rng, taken.__contains__)
            if wrong is not None:
                yield Edit(use.start, use.end, wrong)


def misspelt_method(names: Names, rng: random.Random) -> Iterator[Edit]:
    for call, owner, member in _known_calls(names):
        name = call.get("name").get("method")
        wrong = _misspelt(member.name, rng, lambda word, owner=owner: _anywhere(owner, word))
        if wrong is not None:
            yield Edit(name.start, name.end, wrong)


def wrong_service(names: Names, rng: random.Random) -> Iterator[Edit]:
    for call in names.tree.method_calls("GetService"):
        name = literal(arguments(call)[0]) if arguments(call) else None
        if name is None or not database().service(name) or callee(call) != "game:GetService":
            continue
        place = arguments(call)[0]
        wrong = [word for word in _no_services(name) if not database().service(word)]
        yield Edit(place.start, place.end, f'"{rng.choice(wrong)}"', "no service")
        used = [member.name for index in _members_of(names, call) if (member := names.member(index)) is not None]
        others = [other for other in _SERVICES if any(not _anywhere(other, member) for member in used)]
        if others:
            yield Edit(place.start, place.end, f'"{rng.choice(others)}"', "another service")


# Those that scripts use most; one of them stands in for another.
_SERVICES = (
    "Players", "RunService", "ReplicatedStorage", "TweenService", "UserInputService", "DataStoreService", "HttpService",
    "MarketplaceService", "CollectionService", "SoundService", "Lighting", "TeleportService", "Debris", "Teams",
)  # fmt: skip


def _no_services(name: str) -> list[str]:
    short = name.removesuffix("Service")
    return [short + "Services", short + "Manager", name.lower(), name[:-1] + name[-1] * 2]


def _members_of(names: Names, call: Node) -> list[Node]:
    """The indexes of what a call returns, and of the local that keeps it."""
    kept = next((name for name, value in names.value.items() if value is call), None)
    places = [call, *(names.uses[kept] if kept is not None and names.is_constant(kept) else ())]
    return [place.parent for place in places if is_indexed(place)]


def deprecated(names: Names, rng: random.Random) -> Iterator[Edit]:
    counts = {call.get("name"): len(arguments(call)) for call in names.tree.of("function_call")}
    for index in names.tree.of("dot_index_expression", "method_index_expression"):
        if (member := names.member(index)) is None:
            continue
        owner = names.type_of(index.get("table"))
        old = [
            found
            for name in _old_members().get(member.name, ())
            if owner is not None and (found := database().member(owner, name)) is not None
            if found.deprecated == member.name and found.kind == member.kind
            if index not in counts or found.accepts(counts[index])
        ]
        if old:
            name = index.get("field") or index.get("method")
            yield Edit(name.start, name.end, rng.choice(old).name, "member")
    declared = {declaration.text for declaration in names.uses}
    for name, olds in _old_globals().items():
        free = [old for old in olds if old not in declared]
        for call in names.tree.calls(name) if free else ():
            yield Edit(call.get("name").start, call.get("name").end, rng.choice(free), "global")


@cache
def _old_members() -> dict[str, set[str]]:
    """Old names by the name of what replaces them."""
    found: dict[str, set[str]] = {}
    for section in (database().classes, database().datatypes):
        for entry in section.values():
            for name, member in entry["members"].items():
                found.setdefault(member.get("deprecated", ""), set()).add(name)
    return {new: olds for new, olds in found.items() if new}


@cache
def _old_globals() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, entry in database().globals.items():
        if entry["kind"] == "function" and "." in entry.get("deprecated", ""):
            found.setdefault(entry["deprecated"], []).append(name)
    return found


def nil_check(names: Names, rng: random.Random) -> Iterator[Edit]:
    for declaration, value in names.value.items():
        uses = names.uses[declaration]
        if value.type == "binary_expression" and value.operator == "and":  # x and x:FindFirstChild("y")
            value = value.get("right")
        if uses and names.may_be_nil(value) and names.is_constant(declaration):
            yield from _unchecked(names.tree, declaration, _checked(uses[0]), uses)


def _checked(use: Node) -> tuple[Node, bool]:
    """The expression that asks whether a variable is nil, and whether it is true when it is not nil."""
    node, is_set = use, True
    if node.parent.type == "binary_expression" and node.parent.operator in ("==", "~="):
        if any(child.type == "nil" for child in node.parent.children):
            node, is_set = node.parent, node.parent.operator == "~="
    elif node.parent.type == "unary_expression" and node.parent.operator == "not":
        node, is_set = node.parent, False
    return node, is_set


def _unchecked(tree: Tree, declaration: Node, check: tuple[Node, bool], uses: list[Node]) -> Iterator[Edit]:
    """The edit that removes the first check of a variable, if what comes next is an index of it."""
    test, is_set = check
    around, statement = test.parent, _statement(test)
    after = [use for use in uses if use.start >= test.end]

    def next_is_indexed(start: int, end: int) -> bool:
        first = next((use for use in after if use.start >= start), None)
        reached = first is not None and is_indexed(first) and first.start < end
        return reached and function_around(first) is function_around(test)

    if around.type == "binary_expression" and around.operator in ("and", "or") and test.field == "left":
        right = around.get("right")
        if (around.operator == "and") is is_set and next_is_indexed(right.start, right.end):
            yield Edit(test.start, right.start, "", around.operator)
    elif around.type == "if_statement" and test.field == "condition" and around.get("alternative") is None:
        body, same_block = around.get("consequence"), around.parent is _statement(declaration).parent
        if body is None:
            return
        if is_set and next_is_indexed(body.start, body.end):
            then = tree.data.index(b"then", test.end)
            yield Edit(around.start, then + 4, "do", "if")
        elif not is_set and same_block and _leaves(body) and next_is_indexed(around.end, around.parent.end):
            yield Edit(around.start, around.end, "", "guard")
    elif statement in tree.calls("assert") and arguments(statement)[0] is test and is_set:
        same_block = statement.parent is _statement(declaration).parent
        if same_block and next_is_indexed(statement.end, statement.parent.end):
            yield Edit(statement.start, statement.end, "", "assert")


def _statement(node: Node) -> Node:
    return node if node.is_statement else next(above for above in node.ancestors() if above.is_statement)


def _leaves(block: Node) -> bool:
    """Whether what follows the block's statement is not reached from inside it."""
    last = block.children[-1] if block.children else None
    if last is not None and last.type == "function_call":
        return callee(last) == "error"
    return last is not None and last.type in ("return_statement", "break_statement", "continue_statement")


def pcall(names: Names, rng: random.Random) -> Iterator[Edit]:
    for call in names.tree.calls("pcall"):
        statement = _statement(call)
        run = _unprotected(names, call)
        if run is None:
            continue
        body, result = run
        if statement is call:
            yield Edit(call.start, call.end, f"do {body}\n{_as_statement(result)} end", "statement")
        elif statement.type in ("variable_declaration", "assignment_statement") and sides(statement)[1] == [call]:
            left = sides(statement)[0]
            head = names.tree.data[statement.start : call.start].decode()
            if len(left) == 1:
                text = f"{body}\n{_as_statement(result)}\n{head}{_SUCCESS}"
            else:
                text = f"{body}\n{head}{_SUCCESS}, {result or 'nil'}"
            yield Edit(statement.start, call.end, text, "declaration")


# In place of what pcall says of success: true at run time, but no constant, which would be another fault.
_SUCCESS = "game:IsLoaded()"


def _unprotected(names: Names, call: Node) -> tuple[str, str] | None:
    """The statements that a pcall runs and the expression that it returns, if it protects a call that can fail."""
    first, *given = arguments(call) or [None]
    if first is None:
        return None
    if first.type == "dot_index_expression" and given:
        member = names.member(first)
        if member is None or not member.fails or given[0].text != first.get("table").text:
            return None
        rest = ", ".join(argument.text for argument in given[1:])
        return "", f"{given[0].text}:{member.name}({rest})"
    if first.type != "function_definition" or first.get("body") is None or first.get("parameters").children:
        return None
    inner = [found for found, _, member in _known_calls(names) if member.fails and function_around(found) is first]
    statements = first.get("body").children
    returns = [node for node in first.walk() if node.type == "return_statement" and function_around(node) is first]
    declares = any(node.field == "local_declaration" or node.type == "variable_declaration" for node in statements)
    if not inner or declares or any(node is not statements[-1] for node in returns):
        return None
    last = statements[-1]
    if not returns:
        return first.get("body").text, ""
    body = names.tree.data[first.get("body").start : last.start].decode()
    return body, last.children[0].text if last.children else ""


def _as_statement(expression: str) -> str:
    return expression if compile_error(expression) is None else f"local _ = {expression}"


def loop_yield(names: Names, rng: random.Random) -> Iterator[Edit]:
    for loop in names.tree.of("while_statement", "repeat_statement"):
        condition, body = loop.get("condition"), loop.get("body")
        if condition is None or body is None:
            continue
        waits = [node for node in body.children if node.type == "function_call" and _waits(names, node)]
        calls = [node for node in loop.walk() if node.type == "function_call" and node not in waits]
        is_endless = condition.type == "true" and loop.type == "while_statement" and not _is_left(loop)
        # A loop of nothing but a wait can only end by what happens elsewhere meanwhile.
        is_waiting = len(body.children) == 1 and not calls
        if len(waits) == 1 and (is_endless or is_waiting) and not any(_may_yield(names, node) for node in calls):
            yield Edit(waits[0].start, waits[0].end, "", "while true" if is_endless else "until")


def _waits(names: Names, call: Node) -> bool:
    if callee(call) in ("task.wait", "wait"):
        return True
    member = names.member(call.get("name"))
    return member is not None and member.yields and member.name == "Wait"


def _may_yield(names: Names, call: Node, depth: int = 0) -> bool:
    """Whether a call is not certain to return at once: only what the database knows and functions of the file are."""
    name = call.get("name")
    declaration = names.declaration(name) if name.type == "identifier" else None
    if declaration is not None:
        function = declaration.parent if declaration.parent.type in FUNCTIONS else names.value.get(declaration)
        if function is None or function.type not in FUNCTIONS or not names.is_constant(declaration) or depth > 3:
            return True
        return any(_may_yield(names, node, depth + 1) for node in function.walk() if node.type == "function_call")
    if name.type == "identifier":
        member = database().global_(name.text) if name.text not in ("pcall", "xpcall", "require") else None
    else:
        member = names.member(name)
    return member is None or member.yields


def _is_left(loop: Node) -> bool:
    return any(
        node.type == "return_statement"
        or (node.type == "break_statement" and next(a for a in node.ancestors() if a.type in LOOPS) is loop)
        or (node.type == "function_call" and callee(node) == "error")
        for node in loop.walk()
    )


def _known_calls(names: Names) -> list[tuple[Node, str, Member]]:
    """Method calls whose receiver's type and method the database knows."""
    found = []
    for call in names.tree.of("function_call"):
        if method(call) is not None and (member := names.member(call.get("name"))) is not None:
            owner = names.type_of(call.get("name").get("table"))
            if owner is not None:
                found.append((call, owner, member))
    return found


def _misspelt(word: str, rng: random.Random, is_taken: Callable[[str], bool]) -> str | None:
    """The word with one letter left out, doubled or swapped with the next, so that it names nothing."""
    if len(word) < 3:
        return None
    at = range(len(word) - 1)
    wrong = {word[:i] + word[i + 1 :] for i in at} | {word[: i + 1] + word[i:] for i in at}
    wrong |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in at}
    fitting = [found for found in sorted(wrong) if re.fullmatch(r"[A-Za-z]\w*", found) and not is_taken(found)]
    fitting = [found for found in fitting if found != word]
    return rng.choice(fitting) if fitting else None


def _anywhere(owner: str, name: str) -> bool:
    """Whether a class, one above it or one below it has a member of that name."""
    return database().member(owner, name) is not None or bool(database().below(owner, name))


@cache
def _known_globals() -> frozenset[str]:
    api = database()
    return frozenset([*api.globals, *api.libraries, *api.datatypes, "Enum", "self", *_KEYWORDS.split()])


_KEYWORDS = (
    "and break continue do else elseif end export false for function if in local nil not or repeat return then true "
    "type until while"
)


KINDS = {
    "dropped_end": Kind(dropped_end, "syntax", 0.98, compiles=False),
    "python": Kind(python, "syntax", 0.98, compiles=False),
    "python_constant": Kind(python_constant, "syntax", 0.98),
    "misspelt_local": Kind(misspelt_local, "bugs", 0.98),
    "misspelt_method": Kind(misspelt_method, "api", 0.98),
    "wrong_service": Kind(wrong_service, "api", 0.98),
    "deprecated": Kind(deprecated, "api", 0.90),
    "nil_check": Kind(nil_check, "bugs", 0.90),
    "pcall": Kind(pcall, "bugs", 0.90),
    "loop_yield": Kind(loop_yield, "bugs", 0.90),
}
