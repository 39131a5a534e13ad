"""The syntax tree that every scorer reads: tree-sitter's, made light and purged of types."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache

import tree_sitter
import tree_sitter_luau

from luau_rft.luau.compiler import compile_error
from luau_rft.luau.lexer import tokens

# tree-sitter's recovery is quadratic: 200,000 characters of prose take it 12 seconds, 50,000 take less than one.
MAX_BROKEN_CHARACTERS = 50_000
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


class Node:
    """One node of the tree; comments and type annotations are not among its children.

    ``typed`` tells whether an annotation stood here (for a function: generics or a return type); ``operator`` is that
    of a unary or binary expression or of an update such as ``+=``; ``start`` and ``end`` count bytes.
    """

    __slots__ = ("children", "end", "field", "operator", "parent", "start", "tree", "type", "typed")

    def __init__(self, tree: "Tree", raw: tree_sitter.Node, field: str | None, parent: "Node | None"):
        self.tree, self.type, self.field, self.parent = tree, raw.type, field, parent
        self.start, self.end = raw.start_byte, raw.end_byte
        self.children: list[Node] = []
        self.operator: str | None = None
        self.typed = False

    def __repr__(self) -> str:
        return f"<{self.type} {self.line}:{self.column} {self.text[:40]!r}>"

    def get(self, field: str) -> "Node | None":
        """The first child of that field name."""
        return next((child for child in self.children if child.field == field), None)

    def all(self, field: str) -> "list[Node]":
        """Every child of that field name."""
        return [child for child in self.children if child.field == field]

    @property
    def text(self) -> str:
        return self.tree.data[self.start : self.end].decode()

    @property
    def line(self) -> int:
        """Counted from 1."""
        return self.tree.position(self.start)[0]

    @property
    def column(self) -> int:
        """In characters, counted from 1."""
        return self.tree.position(self.start)[1]

    @property
    def last_line(self) -> int:
        return self.tree.position(max(self.start, self.end - 1))[0]

    @property
    def is_statement(self) -> bool:
        return self.type in STATEMENTS and self.parent is not None and self.parent.type in ("block", "chunk", "ERROR")

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
        self.data = source.encode("utf-8", "replace")
        self.compile_error = compile_error(source)
        self.nodes: list[Node] = []
        self.comments: list[Node] = []
        self.errors: list[Node] = []
        self.type_names: set[str] = set()
        if self.compile_error is not None and len(source) > MAX_BROKEN_CHARACTERS:
            self.data = b""
        parsed = _parser().parse(self.data)
        if parsed.root_node.has_error and self.compile_error is None:
            easier, hidden = _without_difficult_types(source)
            self.type_names.update(hidden)
            parsed = _parser().parse(easier)
        if any(depth > MAX_DEPTH for _, _, depth in _walk(parsed)):
            self.data = b""
            parsed = _parser().parse(self.data)
        path: list[Node | None] = []  # from the root to the place reached; None inside annotations and tokens
        for raw, field, depth in _walk(parsed):
            path[depth:] = [self._add(raw, field, path[depth - 1]) if depth else self._node(raw, None, None)]
        self.root = self.nodes[0]

    def _add(self, raw: tree_sitter.Node, field: str | None, parent: Node | None) -> Node | None:
        kind = raw.type
        if kind == "comment":
            self.comments.append(Node(self, raw, None, parent))
        elif parent is None:
            if kind == "identifier":
                self.type_names.add(raw.text.decode())
            elif raw.is_error or raw.is_missing:
                self.errors.append(Node(self, raw, None, None))
        elif raw.is_missing:
            self.errors.append(Node(self, raw, None, parent))
        elif not raw.is_named:
            if parent.type in _OPERATED and parent.operator is None:
                parent.operator = kind
        elif _is_annotation(parent, field):
            parent.typed = True
            if kind == "identifier":
                self.type_names.add(raw.text.decode())
        elif kind not in ("string_content", "escape_sequence", "empty_statement"):
            return self._node(raw, field, parent)
        return None

    def _node(self, raw: tree_sitter.Node, field: str | None, parent: Node | None) -> Node:
        node = Node(self, raw, field, parent)
        self.nodes.append(node)
        if parent is not None:
            parent.children.append(node)
        if raw.is_error:
            self.errors.append(node)
        return node

    def of(self, *kinds: str) -> Iterator[Node]:
        """The nodes of these types, in the order of the text."""
        return (node for node in self.nodes if node.type in kinds)

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
        return line, len(self.data[self._line_starts[line - 1] : offset].decode("utf-8", "replace")) + 1

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


@lru_cache(maxsize=4)
def parse(source: str) -> Tree:
    """Parse ``source``, valid or not. The last few trees are kept, so that all scorers share one.

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


def _walk(parsed: tree_sitter.Tree) -> Iterator[tuple[tree_sitter.Node, str | None, int]]:
    """Node, field name and depth, parents first."""
    cursor, depth = parsed.walk(), 0
    while True:
        yield cursor.node, cursor.field_name, depth
        if cursor.goto_first_child():
            depth += 1
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            depth -= 1


def _is_annotation(parent: Node, field: str | None) -> bool:
    """Whether the next child of ``parent`` is a type."""
    if parent.type in ("parameter", "cast_expression"):
        return bool(parent.children)
    if parent.type in ("variable_list", "function_declaration", "function_definition"):
        return field is None
    return parent.type == "type_definition"


def _without_difficult_types(source: str) -> tuple[bytes, list[str]]:
    """Valid source, encoded, with the types that tree-sitter-luau does not know overwritten in the same length.

    Also the words that were overwritten.
    """
    text = source.encode().decode("latin-1")  # one character a byte, so that the tree's offsets stay right
    stream = [token for token in tokens(text) if token.kind != "comment"]
    words = [token.text for token in stream]
    pieces, hidden, done, position = [], [], 0, 0
    while position < len(stream):
        last, replacement = _difficult_type(words, position)
        if last is not None:
            start, end = stream[position].start, stream[last].end
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
