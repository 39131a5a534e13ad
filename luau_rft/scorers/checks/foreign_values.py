"""Habits from other languages that compile and are certain to fail when the code runs."""

import re
from collections.abc import Iterator

from luau_rft.luau.lexer import Token, tokens
from luau_rft.luau.scopes import Variable, function_of, resolve
from luau_rft.luau.tree import Node, Tree, callee, last_name, strip
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.broken import KEYWORDS, few, line_end, spot

_PLUS_AND_QUOTE = re.compile(r"(?:[\"'`]|\]=*\])\s*\+|\+=?\s*(?:[\"'`]|\[=*\[)")


@few
def added_string(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A text joined with ``+``. It compiles, and raises an error when it runs: ``+`` takes numbers.

    Bad:
        print("Hello " + script.Name)
    Bad:
        local list = ""
        list += ", "
    Good:
        print("Hello " .. script.Name)
    Good:
        local list = ""
        list ..= ", "
    Good:
        print("10" + 5)
    """
    if not _PLUS_AND_QUOTE.search(tree.source):
        return
    stream = tuple(token for token in tokens(tree.source) if token.kind != "comment")
    told = -1
    for i, token in enumerate(stream[1:-1], start=1):
        if token.text not in ("+", "+=") or token.start < told:
            continue
        before, after = stream[i - 1], stream[i + 1]
        if _is_text(after) or (_is_text(before) and not _is_argument(stream, i - 1)):
            told = line_end(tree, token)  # one finding for a chain of them
            yield spot(tree, token), f"texts are joined with {token.text.replace('+', '..')}, {token.text} adds numbers"


_METHODS = {
    **dict.fromkeys(("push", "append", "add", "push_back", "Add"), "table.insert(list, value)"),
    **dict.fromkeys(("pop", "shift", "splice"), "table.remove(list, position)"),
    **dict.fromkeys(("includes", "indexOf", "contains", "index"), "table.find(list, value)"),
    **dict.fromkeys(("forEach", "map", "filter", "items", "values", "keys", "each"), "for key, value in list do"),
    **dict.fromkeys(("length", "size", "count", "Length", "Count"), "#list"),
    **dict.fromkeys(("join", "concat"), "table.concat(list, separator)"),
    **dict.fromkeys(("insert", "remove", "sort", "find", "clear", "unpack"), ""),
    "slice": "table.move(list, first, last, 1, {})",
}
_TEXT_METHODS = {
    **dict.fromkeys(("length", "size", "Length"), "#text"),
    **dict.fromkeys(("toUpperCase", "toUpper", "ToUpper"), "string.upper(text)"),
    **dict.fromkeys(("toLowerCase", "toLower", "ToLower"), "string.lower(text)"),
    **dict.fromkeys(("trim", "strip", "Trim"), 'string.match(text, "^%s*(.-)%s*$")'),
    **dict.fromkeys(("includes", "indexOf", "contains", "Contains"), "string.find(text, part, 1, true)"),
    **dict.fromkeys(("substring", "substr", "slice", "charAt", "Substring"), "string.sub(text, first, last)"),
    **dict.fromkeys(("startsWith", "startswith", "StartsWith"), "string.sub(text, 1, #start) == start"),
    **dict.fromkeys(("endsWith", "endswith", "EndsWith"), "string.sub(text, -#ending) == ending"),
    **dict.fromkeys(("replace", "replaceAll", "Replace"), "string.gsub(text, pattern, other)"),
}
_METHOD_NAME = re.compile(rf"[.:]\s*(?:{'|'.join(_METHODS | _TEXT_METHODS)})\b")
_KEEP_FIELDS = frozenset({"print", "pairs", "ipairs", "next", "unpack", "type", "typeof", "tostring", "select"})


@few
def foreign_method(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A method or field that lists and texts have in other languages, on a table or text that has none of that name.

    It compiles; the call raises an error, the field is nil.

    Bad:
        local names = {}
        names.push(script.Name)
        print(names.length)
    Bad:
        local names = { "Ann" }
        names:insert(script.Name)
    Bad:
        local title = "Hello"
        print(title.toUpperCase())
    Good:
        local names = {}
        table.insert(names, script.Name)
        print(#names)
    Good:
        local queue = {}
        function queue.push(value)
            table.insert(queue, value)
        end
        queue.push(script.Name)
    """
    if not _METHOD_NAME.search(tree.source):
        return
    for node in tree.of("dot_index_expression", "method_index_expression"):
        name = last_name(node)
        if name not in _METHODS and name not in _TEXT_METHODS:
            continue
        owner = node.get("table")
        variable = resolve(tree).of.get(owner) if owner is not None and owner.type == "identifier" else None
        if variable is None or variable.value is None or variable.writes:
            continue
        value = strip(variable.value)
        if value.type == "string" and name in _TEXT_METHODS:
            yield node, f"texts have no `{name}`: write {_TEXT_METHODS[name]}"
        elif value.type == "table_constructor" and name in _METHODS and _is_plain_list(variable, value):
            yield node, f"tables have no `{name}`: write {_METHODS[name] or f'table.{name}(list, ...)'}"


@few
def self_without_colon(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A field of ``self`` where there is no ``self``: in a function declared with a dot, or outside of any.

    Bad:
        local Door = {}
        function Door.open()
            self.isOpen = true
        end
    Good:
        local Door = {}
        function Door:open()
            self.isOpen = true
        end
    """
    if not re.search(r"\bself\b", tree.source):
        return
    scopes = resolve(tree)
    if any(node.text == "self" for node in scopes.global_writes):
        return
    told = set()
    for node in scopes.global_reads:
        if node.field != "table" or node.end - node.start != 4 or node.text != "self":
            continue
        function = function_of(node)
        is_known = tree.compile_error is None or (
            function is not None and not any(above.type == "ERROR" for above in node.ancestors())
        )
        if is_known and function not in told:
            told.add(function)
            name = function.get("name") if function is not None else None
            how = f"declare `{name.text.replace('.', ':')}`" if name is not None and "." in name.text else "pass it"
            yield node, f"there is no `self` here: {how}" + ("" if "declare" in how else " as a parameter")


def _is_text(token: Token) -> bool:
    """Whether a token is a text that cannot be read as a number."""
    if token.kind != "string":
        return False
    text = re.sub(r"^\[=*\[|\]=*\]$|^[\"'`]|[\"'`]$", "", token.text)
    text = re.sub(r"\{[^}]*\}", "0", text) if token.text[0] == "`" else text
    return re.fullmatch(r"\s*[-+]?(?:0[xX][\da-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|inf|nan)\s*", text) is None


def _is_argument(stream: tuple[Token, ...], position: int) -> bool:
    """Whether the text at ``position`` is the argument of a call without parentheses, or its length is taken."""
    before = stream[position - 1] if position else None
    if before is None or before.text in KEYWORDS or before.text == "print":
        return False  # `print "a" + b` is Python, and no call of print
    return before.kind in ("name", "string") or before.text in ("#", ")", "]", "}")


def _is_plain_list(variable: Variable, value: Node) -> bool:
    """Whether a table can have no field but positions: it is filled by nothing that could give it one."""
    if any(field.get("name") is not None for field in value.children):
        return False
    for node in variable.reads:
        use = node.parent
        if node.field == "table" and use is not None:
            if use.type == "bracket_index_expression":
                if not _is_number(use.get("field")):
                    return False
            elif use.field == "name" and use.parent.type in ("variable_list", "function_declaration"):
                return False
        elif use is not None and use.type == "arguments":
            call = use.parent
            if call is None or not (callee(call).startswith("table.") or callee(call) in _KEEP_FIELDS):
                return False
        elif use is None or not (use.type in ("unary_expression", "binary_expression") or _is_iterated(use)):
            return False
    return True


def _is_iterated(use: Node) -> bool:
    return use.type == "expression_list" and use.parent is not None and use.parent.type == "for_generic_clause"


def _is_number(index: Node | None) -> bool:
    return index is not None and (index.type == "number" or index.text.startswith("#"))
