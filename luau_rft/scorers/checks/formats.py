"""The little languages in strings: formats, patterns, dates."""

from collections.abc import Iterator

from luau_rft.luau import literals
from luau_rft.luau.functions import count
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import Node, Tree, arguments, callee, method, strip
from luau_rft.scorers.base import Hit

_FINDING = ("find", "match", "gmatch", "gsub")
_PACKING = ("pack", "unpack", "packsize")
_MOST_BYTES = 2000  # of a format; a long one that many calls share would take time by both
_NOT_FORMATTED = {"nil": "nil", "true": "a boolean", "false": "a boolean", "table_constructor": "a table"}


def format_string(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A format or pattern that is malformed, or that does not fit the values it is used with.

    Looked at are ``string.format``, the patterns of ``find``, ``match``, ``gmatch`` and ``gsub`` with its replacement,
    ``os.date`` and ``string.pack``.

    Bad:
        workspace.Name = string.format("%s has %d coins", "Ann")
    Bad:
        workspace.Name = string.match(workspace.Name, "[%w_+")
    Bad:
        workspace.Name = os.date("%Q")
    Bad:
        workspace.Name = ("%d%"):format(50)
    Good:
        workspace.Name = string.format("%s has %d coins", "Ann", 5)
    Good:
        workspace.Name = string.match(workspace.Name, "[%w_]+")
    Good:
        workspace.Name = ("%d%%"):format(50)
    Like: Luau FormatString
    """
    library = [f"string.{name}" for name in ("format", *_FINDING, *_PACKING)]
    for call in tree.calls(*library, "os.date"):
        if resolve(tree).of.get(_root(call)) is None:
            name = callee(call).split(".")[1]
            yield from _check(call, name, arguments(call))
    for call in tree.method_calls("format", *_FINDING, *_PACKING):
        receiver = call.get("name").get("table")
        yield from _check(call, method(call) or "", [strip(receiver), *arguments(call)])


def _check(call: Node, name: str, given: list[Node]) -> Iterator[Hit]:
    if name in _FINDING:
        yield from _check_pattern(call, name, given)
        return
    text = _text(given[0]) if given else None
    if text is None:
        return
    if name == "format":
        yield from _check_format(call, text, given[1:])
    else:
        problem = literals.date_problem(text) if name == "date" else literals.pack_problem(text)
        if problem is not None:
            yield given[0], f"in this format, {problem}"


def _check_format(call: Node, text: str, values: list[Node]) -> Iterator[Hit]:
    conversions = literals.conversions(text)
    if isinstance(conversions, str):
        yield call, f"in this format, {conversions}"
        return
    least, most = count(values)
    if most is not None and most < len(conversions):
        yield call, f"the format asks for {len(conversions)} values, but only {most} are given"
    elif least > len(conversions):
        yield call, f"the format asks for {len(conversions)} values, but {least} are given"
    for conversion, value in zip(conversions, values, strict=False):
        found = strip(value)
        given = _NOT_FORMATTED.get(found.type)
        if conversion.is_number and not literals.is_numeric(literals.literal(found) or "0"):
            given = "a string"
        if given is not None and conversion.letter != "*":
            yield value, f"%{conversion.letter} cannot format {given}" + ("" if given == "a string" else ": use %*")


def _check_pattern(call: Node, name: str, given: list[Node]) -> Iterator[Hit]:
    if len(given) < 2 or (name == "find" and len(given) > 3):  # the fourth asks for a plain search
        return
    pattern = _text(given[1])
    if pattern is None or (name == "find" and not any(sign in pattern for sign in "^$*+?.([%-")):
        return
    problem, captures = literals.pattern_problem(pattern)
    if problem is not None:
        yield given[1], f"in this pattern, {problem}"
    elif name == "gsub" and len(given) > 2:
        replacement = _text(given[2])
        problem = literals.replacement_problem(replacement, captures) if replacement is not None else None
        if problem is not None:
            yield given[2], f"in this replacement, {problem}"


def _text(node: Node) -> str | None:
    """The text of a literal, or of a local that is one all the time."""
    node = strip(node)
    if node.type == "identifier":
        variable = resolve(node.tree).of.get(node)
        if variable is None or variable.writes or variable.kind != "local" or variable.value is None:
            return None
        node = strip(variable.value)
    return literals.literal(node) if node.end - node.start <= _MOST_BYTES else None


def _root(call: Node) -> Node | None:
    name = call.get("name")
    return name.get("table") if name is not None else None
