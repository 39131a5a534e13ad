"""The syntax tree that every scorer reads: tree-sitter's, made light and purged of types."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property, lru_cache, wraps
from operator import attrgetter
from typing import Any, TypeVar

import tree_sitter
import tree_sitter_luau

from luau_rft.luau.compiler import compile_error
from luau_rft.luau.lexer import TOKEN

# tree-sitter's recovery is quadratic: 200,000 characters of prose take it 12 seconds, 50,000 of brackets alone 10.
MAX_BROKEN_CHARACTERS = 20_000
# Levels of the tree. People write less than 100; the rules take time by depth, and the compiler refuses most of what is
# deeper.
MAX_DEPTH = 500

STATEMENTS = frozenset(
    {
        "variable_declaration", "assignment_statement", "update_statement", "function_call", "function_declaration",
        "do_statement", "while_statement", "repeat_statement", "if_statement", "for_statement", "return_statement",
        "break_statement", "continue_statement", "type_definition",
    }
)  # fmt: skip
FUNCTIONS = frozenset({"function_declaration", "function_definition"})
LOOPS = frozenset({"while_statement", "repeat_statement", "for_statement"})

_OPERATED = frozenset({"binary_expression", "unary_expression", "update_statement"})
_BODIES = frozenset({"block", "chunk", "ERROR"})
# Under these, a child may be a type: after the first child, or where it has no field name.
_TYPED_AFTER = frozenset({"parameter", "cast_expression"})
_TYPED_BESIDE = frozenset({"variable_list", "function_declaration", "function_definition"})
_TYPED = _TYPED_AFTER | _TYPED_BESIDE | {"type_definition"}
_NODE, _TOKEN, _COMMENT, _IGNORED = "node", "token", "comment", "ignored"
_ROLES = {
    "comment": _COMMENT,
    "string_content": _IGNORED,
    "escape_sequence": _IGNORED,
    "empty_statement": _IGNORED,
}


_T = TypeVar("_T")


class Node:
    """One node of the tree; comments and type annotations are not among its children.

    ``typed`` tells whether an annotation stood here (for a function: generics or a return type); ``operator`` is that
    of a unary or binary expression or of an update such as ``+=``; ``start`` and ``end`` count bytes; ``order`` counts
    the nodes in the order of the text, parents first.
    """

    __slots__ = (
        "_text", "children", "end", "field", "is_statement", "operator", "order", "parent", "start", "tree", "type",
        "typed",
    )  # fmt: skip

    def __init__(
        self, tree: "Tree", type: str, start: int, end: int, field: str | None, parent: "Node | None", order: int
    ):
        self.tree, self.type, self.field, self.parent, self.order = tree, type, field, parent, order
        self.start, self.end = start, end
        self.children: Sequence[Node] = ()  # a list in nodes that have some
        self.operator: str | None = None
        self.typed = False
        self.is_statement = type in STATEMENTS and parent is not None and parent.type in _BODIES
        self._text: str | None = None

    def __repr__(self) -> str:
        return f"<{self.type} {self.line}:{self.column} {self.text[:40]!r}>"

    def get(self, field: str) -> "Node | None":
        """The first child of that field name."""
        for child in self.children:
            if child.field == field:
                return child
        return None

    def all(self, field: str) -> "list[Node]":
        """Every child of that field name."""
        return [child for child in self.children if child.field == field]

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self.tree.slice(self.start, self.end)
        return self._text

    @property
    def line(self) -> int:
        """Counted from 1."""
        return bisect_right(self.tree._line_starts, self.start)

    @property
    def column(self) -> int:
        """In characters, counted from 1."""
        return self.tree.position(self.start)[1]

    @property
    def last_line(self) -> int:
        return bisect_right(self.tree._line_starts, max(self.start, self.end - 1))

    @property
    def size(self) -> int:
        """How many nodes this is made of, itself included."""
        last = self
        while last.children:
            last = last.children[-1]
        return last.order - self.order + 1

    def walk(self) -> "Iterator[Node]":
        """This node and all below it, in the order of the text."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def ancestors(self) -> "Iterator[Node]":
        """The nodes above, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


class Tree:
    """The parsed source.

    ``nodes`` are in the order of the text, parents first; ``errors`` are the places that tree-sitter did not
    understand; ``type_names`` are the identifiers used in type annotations. Text that is too long to be parsed although
    it does not compile, or nested too deep, has an empty tree.
    """

    def __init__(self, source: str):
        self.source = source
        self.facts: dict[Callable[[Tree], Any], Any] = {}  # see `fact`
        self.data = source.encode("utf-8", "replace")
        self.compile_error = compile_error(source)
        if self.compile_error is not None and len(source) > MAX_BROKEN_CHARACTERS:
            self.data = b""
        parsed = _parser().parse(self.data)
        hidden: list[str] = []
        if parsed.root_node.has_error and self.compile_error is None:
            easier, hidden = _without_difficult_types(source)
            parsed = _parser().parse(easier)
        if not self._build(parsed):
            self.data, hidden = b"", []
            self._build(_parser().parse(self.data))
        self.type_names.update(hidden)
        self._ascii = self.data.decode() if self.data.isascii() else None

    def _build(self, parsed: tree_sitter.Tree) -> bool:
        """Make the nodes in one walk over tree-sitter's; False where it goes deeper than ``MAX_DEPTH``."""
        self.nodes: list[Node] = []
        self.comments: list[Node] = []
        self.errors: list[Node] = []
        self.type_names: set[str] = set()
        self._by_type: defaultdict[str, list[Node]] = defaultdict(list)
        self._several: dict[tuple[str, ...], list[Node]] = {}
        kinds, fields = _kinds(), _fields()
        has_errors = parsed.root_node.has_error
        cursor = parsed.walk()
        root = parsed.root_node
        parent = self.root = Node(self, root.type, root.start_byte, root.end_byte, None, None, 0)
        self.nodes.append(parent)
        self._by_type[root.type].append(parent)
        depth = 1
        if not cursor.goto_first_child():
            return True
        nodes, by_type = self.nodes, self._by_type
        down, across, up = cursor.goto_first_child, cursor.goto_next_sibling, cursor.goto_parent
        siblings = parent.children = []
        while True:
            raw = cursor.node
            kind, role = kinds[raw.kind_id]
            if role is _TOKEN:
                if parent.operator is None and parent.type in _OPERATED:
                    parent.operator = kind
                if has_errors and raw.is_missing:
                    self.errors.append(Node(self, kind, raw.start_byte, raw.end_byte, None, parent, -1))
            elif role is _NODE:
                field = fields[cursor.field_id]
                if (
                    kind != "ERROR"
                    and parent.type in _TYPED
                    and (
                        siblings
                        if parent.type in _TYPED_AFTER
                        else field is None
                        if parent.type in _TYPED_BESIDE
                        else True
                    )
                ):
                    parent.typed = True
                    self._note_types(raw, parent, has_errors)
                elif has_errors and raw.is_missing:
                    self.errors.append(Node(self, kind, raw.start_byte, raw.end_byte, None, parent, -1))
                else:
                    node = Node(self, kind, raw.start_byte, raw.end_byte, field, parent, len(nodes))
                    nodes.append(node)
                    by_type[kind].append(node)
                    siblings.append(node)
                    if down():
                        parent, depth = node, depth + 1
                        siblings = parent.children = []
                        if depth > MAX_DEPTH:
                            return False
                        continue
            elif role is _COMMENT:
                self.comments.append(Node(self, kind, raw.start_byte, raw.end_byte, None, parent, -1))
            while not across():
                up()
                parent, depth = parent.parent, depth - 1  # type: ignore[union-attr]  # only the root has none
                if parent is None:
                    self.errors += by_type["ERROR"]
                    return True
                siblings = parent.children

    def _note_types(self, annotation: tree_sitter.Node, parent: Node, has_errors: bool) -> None:
        stack = [annotation]
        while stack:
            raw = stack.pop()
            kind = raw.type
            if kind == "identifier":
                self.type_names.add(raw.text.decode())
            elif kind == "comment":
                self.comments.append(Node(self, kind, raw.start_byte, raw.end_byte, None, parent, -1))
            elif has_errors and (raw.is_error or raw.is_missing):
                self.errors.append(Node(self, kind, raw.start_byte, raw.end_byte, None, None, -1))
            stack.extend(reversed(raw.children))

    def release(self) -> None:
        """Take the tree apart, so that it is freed at once: Python's collector is slow with what refers to itself."""
        self.facts.clear()
        for node in (*self.nodes, *self.comments, *self.errors):
            node.parent = node.tree = None  # type: ignore[assignment]
            node.children = ()
        self.__dict__.clear()

    def of(self, *kinds: str) -> Sequence[Node]:
        """The nodes of these types, in the order of the text."""
        if len(kinds) == 1:
            return self._by_type.get(kinds[0], ())
        if kinds not in self._several:
            nodes = [node for kind in kinds for node in self._by_type.get(kind, ())]
            self._several[kinds] = sorted(nodes, key=attrgetter("order"))
        return self._several[kinds]

    def slice(self, start: int, end: int) -> str:
        """The text between two byte offsets."""
        return self.data[start:end].decode() if self._ascii is None else self._ascii[start:end]

    def calls(self, *names: str) -> "list[Node]":
        """The calls of these functions, written so: ``task.wait``, ``pcall``. In the order of the text for one name."""
        return [call for name in names for call in self._calls.get(name, ())]

    def method_calls(self, *names: str) -> "list[Node]":
        """The calls of methods of these names, whatever the receiver. In the order of the text for one name."""
        return [call for name in names for call in self._method_calls.get(name, ())]

    @cached_property
    def _calls(self) -> "dict[str, list[Node]]":
        found: dict[str, list[Node]] = {}
        for call in self.of("function_call"):
            found.setdefault(callee(call), []).append(call)
        return found

    @cached_property
    def _method_calls(self) -> "dict[str, list[Node]]":
        found: dict[str, list[Node]] = {}
        for call in self.of("function_call"):
            if (name := method(call)) is not None:
                found.setdefault(name, []).append(call)
        return found

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (in characters), both from 1, of a byte offset."""
        line = bisect_right(self._line_starts, offset)
        start = self._line_starts[line - 1]
        if self._ascii is not None:
            return line, offset - start + 1
        return line, len(self.data[start:offset].decode("utf-8", "replace")) + 1

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(b"\n", self.data))]

    @cached_property
    def read_share(self) -> float:
        """The share of the text, blanks and comments apart, that belongs to well-formed statements."""
        broken = {next(above, None) for above in (filter(_is_statement_or_block, e.ancestors()) for e in self.errors)}
        unread = bytearray(len(self.data))
        for node in self.nodes:  # parents come first, so the innermost statement or error decides
            if node.is_statement or node.type == "ERROR":
                is_broken = node.type == "ERROR" or node in broken
                unread[node.start : node.end] = bytes([is_broken]) * (node.end - node.start)
        code = bytearray(not chr(byte).isspace() for byte in self.data)
        for comment in self.comments:
            code[comment.start : comment.end] = bytes(comment.end - comment.start)
        total = sum(code)
        return sum(c and not u for c, u in zip(code, unread, strict=True)) / total if total else 0.0


def fact(function: "Callable[[Tree], _T]") -> "Callable[[Tree], _T]":
    """Have what ``function`` finds out about a tree kept in the tree, for all who ask."""

    @wraps(function)
    def kept(tree: Tree) -> "_T":
        try:
            return tree.facts[function]
        except KeyError:
            found = tree.facts[function] = function(tree)
            return found

    return kept


@lru_cache(maxsize=4)
def parse(source: str) -> Tree:
    """Parse ``source``, valid or not. The last few trees are kept, for callers that ask one scorer after another.

    >>> parse("local x = 1").root.children
    [<variable_declaration 1:1 'local x = 1'>]
    """
    return Tree(source)


def callee(call: Node) -> str:
    """What a call calls, without blanks: ``task.wait``, ``players.PlayerAdded:Connect``.

    >>> callee(parse("task.wait(1)").root.children[0])
    'task.wait'
    """
    name = call.get("name")
    if name is None or name.end - name.start > 200:  # a chain of calls; to take its text at each link would be slow
        return ""
    return "".join(name.text.split())


def method(call: Node) -> str | None:
    """The method's name of ``object:method(...)``, None for other calls.

    >>> method(parse("part:Destroy()").root.children[0])
    'Destroy'
    """
    name = call.get("name")
    found = name.get("method") if name is not None and name.type == "method_index_expression" else None
    return found.text if found is not None else None


def arguments(call: Node) -> list[Node]:
    """The argument expressions of a call, the receiver not among them."""
    found = call.get("arguments")
    return found.children if found is not None else []


def strip(expression: Node) -> Node:
    """The expression without the parentheses and type casts around it."""
    while expression.type in ("parenthesized_expression", "cast_expression") and expression.children:
        expression = expression.children[0]
    return expression


def root_name(expression: Node) -> Node | None:
    """The identifier that a chain of indexes and calls starts with: ``a`` of ``a.b:c()``."""
    node: Node | None = expression
    while node is not None and node.type != "identifier":
        node = strip(node) if strip(node) is not node else node.get("table") or node.get("name")
    return node


def last_name(node: Node | None) -> str:
    """``c`` of ``a.b.c`` and of ``a.b:c``, the name itself of a plain one."""
    if node is None:
        return ""
    last = node.get("field") or node.get("method") or node
    return last.text if last.type == "identifier" else ""


def _is_statement_or_block(node: Node) -> bool:
    return node.is_statement or node.type in ("block", "chunk", "ERROR")


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_luau.language()))


@cache
def _kinds() -> dict[int, tuple[str, str]]:
    """Name and role of each kind of node."""
    language = _parser().language
    kinds = {65535: ("ERROR", _NODE)}
    for i in range(language.node_kind_count):
        name = language.node_kind_for_id(i)
        role = _ROLES.get(name, _NODE if language.node_kind_is_named(i) else _TOKEN)
        kinds[i] = (name, role)
    return kinds


@cache
def _fields() -> dict[int | None, str | None]:
    language = _parser().language
    return {None: None, 0: None} | {i: language.field_name_for_id(i) for i in range(1, language.field_count + 1)}


def _without_difficult_types(source: str) -> tuple[bytes, list[str]]:
    """Valid source, encoded, with the types that tree-sitter-luau does not know overwritten in the same length.

    Also the words that were overwritten.
    """
    text = source.encode().decode("latin-1")  # one character a byte, so that the tree's offsets stay right
    stream = [match for match in TOKEN.finditer(text) if match.lastgroup != "comment"]
    words = [match[0] for match in stream]
    pieces, hidden, done, position = [], [], 0, 0
    while position < len(stream):
        last, replacement = _difficult_type(words, position) if words[position] in _DIFFICULT else (None, "")
        if last is not None:
            start, end = stream[position].start(), stream[last].end()
            blank = re.sub(r"[^\n]", " ", text[start:end])
            pieces += [text[done:start], replacement, blank[len(replacement) :]]
            hidden += words[position : last + 1]
            done, position = end, last
        position += 1
    return "".join([*pieces, text[done:]]).encode("latin-1"), hidden


def _difficult_type(words: list[str], i: int) -> tuple[int | None, str]:
    """The last token of the difficult type that starts at token ``i``, or None, and what can stand in its place."""
    before, word, after = words[i - 1] if i else "", words[i], words[i + 1] if i + 1 < len(words) else ""
    if word == "typeof" and after == "(":
        last = _closing(words, i + 1)
        in_definition = before == "=" and ("type" in words[max(0, i - 3) : i - 1] or words[i - 2] == ">")
        if in_definition or before in _BEFORE_TYPE or words[last + 1 : last + 3] == ["]", ":"]:
            return last, "any"
    elif word == "<" and not re.search(r"[\w)\]\"'`]$", before):  # generics of a function type, such as <T>(T) -> T
        return _closing(words, i), ""
    elif word == "=" and "<" in words[max(0, i - 40) : i] and _in_generics(words, i):  # default of a type parameter
        last = i
        while last + 1 < len(words) and words[last + 1] not in (",", ">"):
            last = _closing(words, last + 1) if words[last + 1] in _CLOSING else last + 1
        return last, ""
    elif (word == "..." and re.fullmatch(r"[A-Za-z_]\w*", before)) or (word in ("|", "&") and before == "="):
        return i, ""
    return None, ""


_DIFFICULT = frozenset({"typeof", "<", "=", "...", "|", "&"})  # the tokens that a difficult type can start with
_BEFORE_TYPE = frozenset({":", "::", "|", "&", "->", "<"})
_CLOSING = {"(": ")", "{": "}", "[": "]", "<": ">"}


def _in_generics(words: list[str], i: int) -> bool:
    """Whether token ``i`` stands directly inside the angle brackets of ``type Name<...>``."""
    depth = 0
    for j in range(i - 1, max(1, i - 200), -1):
        depth += (words[j] in _CLOSING.values()) - (words[j] in _CLOSING)
        if depth < 0:
            return words[j] == "<" and words[j - 2] == "type"
    return False


def _closing(words: list[str], opening: int) -> int:
    """The index of the bracket that closes the one at ``opening``; the last index when there is none."""
    depth = 0
    for i in range(opening, len(words)):
        depth += (words[i] == words[opening]) - (words[i] == _CLOSING[words[opening]])
        if not depth:
            return i
    return len(words) - 1
