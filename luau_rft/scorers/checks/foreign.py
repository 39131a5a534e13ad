"""Habits from other languages that keep code from compiling, with the Luau way in the message."""

import re
from collections.abc import Iterator

from luau_rft.luau.lexer import Token
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import Node, Tree, fact
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.broken import (
    CLOSING,
    KEYWORDS,
    OPENING,
    broken_heads,
    broken_lines,
    broken_tokens,
    few,
    line_end,
    prose,
    spot,
)


@few
def foreign_comment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comment that starts with ``//``, ``/*`` or ``#``, or a text in three quotes.

    Bad:
        // gives every player a coin
        print("coins")
    Bad:
        # gives every player a coin
        print("coins")
    Bad:
        local coins = 0 // what everyone starts with
    Good:
        -- Gives every player a coin.
        print("coins")
    """
    stream = broken_tokens(tree)
    commented = -1  # the end of the line that was told already
    for before, token, *after in zip(stream, stream[1:], stream[2:], stream[3:], strict=False):
        words = all(word.kind == "name" and word.text not in KEYWORDS for word in after)
        is_end = token.text == "//" or (token.text == "#" and _is_operand(before))
        if is_end and words and token.start > commented and "\n" not in tree.source[before.end : after[-1].start]:
            commented = line_end(tree, token)
            yield spot(tree, token), f"a comment starts with --, not {token.text}"
    for number, line in broken_lines(tree):
        start = line.lstrip()
        mark = re.match(r"//|/\*|\"{3}|'{3}", start)
        if mark:
            yield number, f"a comment starts with --, not {mark[0]}"
        elif re.match(r"#(?!!|[\w({])|#\s*\w+\s+\w+", start):
            yield number, "a comment starts with --, not #"


_OPERATORS = {
    "!=": "not equal is written ~=",
    "!==": "not equal is written ~=",
    "===": "equal is written ==",
    "&&": "write `and` instead of &&",
    "||": "write `or` instead of ||",
    "!": "write `not` instead of !",
    "++": "there is no ++: write += 1",
    "**": "a power is written ^",
    "=>": "a function value is written `function(x) ... end`",
    "$": "names have no $, and text with values in it is written `{name} has {coins}` in backticks",
}


@few
def foreign_operator(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An operator that Luau does not have, such as ``!=``, ``&&``, ``!``, ``++``, ``? :`` or a test with ``in``.

    Bad:
        if script.Parent != nil && !script.Disabled then
            print("ready")
        end
    Bad:
        local side = script.Parent ? "left" : "right"
        print(side)
    Good:
        if script.Parent ~= nil and not script.Disabled then
            print("ready")
        end
    Good:
        local side = if script.Parent then "left" else "right"
        print(side)
    """
    in_for = False
    sentences = {number for number, _ in prose(tree, kind)}
    for token in broken_tokens(tree):
        if token.text == "for":
            in_for = True
        elif token.text == "in":
            if not in_for:
                yield spot(tree, token), "`in` is part of `for`: write `table.find(list, value)` or `set[value] ~= nil`"
            in_for = False
        elif token.kind == "symbol" and token.text in _OPERATORS:
            if token.text == "!" and tree.source.count("\n", 0, token.start) + 1 in sentences:
                continue
            yield spot(tree, token), _OPERATORS[token.text]
        elif token.text == "?":
            rest = tree.source[token.start + 1 : min(line_end(tree, token), token.start + 200)]
            if re.match(r"\.\w", rest):
                yield spot(tree, token), "there is no ?.: write `a and a.b`"
            elif rest.startswith("?"):
                yield spot(tree, token), "there is no ??: write `if a == nil then b else a`"
            elif re.match(r"\s*[\w\"'({-].*\s:\s", rest) and tree.source[token.start - 1 : token.start].isspace():
                yield spot(tree, token), "there is no ?: operator: write `if a then b else c`"


_TYPED = (r"\w+\s+\w+\s*=[^=]", "write `local` instead of a type before a name")
_MODIFIER = (r"\w+\s+\w", "there are no access modifiers: a function or value is `local`, or a field of a table")
# Each is looked for as a word followed by what makes it foreign, so that it may still be a name in Luau.
_KEYWORDS = {
    "def": (r"def\s+\w+\s*\(", "a function is written `local function name() ... end`, not def"),
    "func": (r"func\s+\w+\s*\(", "a function is written `local function name() ... end`, not func"),
    "fn": (r"fn\s+\w+\s*\(", "a function is written `local function name() ... end`, not fn"),
    "void": (r"void\s+\w+\s*\(", "a function is written `local function name() ... end`, not void"),
    "lambda": (r"lambda\b.*:", "a function value is written `function(x) return ... end`"),
    "async": (r"async\s+(?:def|function)\b|async\s*\(", "any function can yield; task.spawn runs it beside others"),
    "await": (r"await\s+\w", "calls that yield wait by themselves: leave await out"),
    "import": (r"import\s+[\w\"'{*]", "modules come through `require(...)`, services through game:GetService(...)"),
    "using": (r"using\s+\w[\w.]*\s*;?\s*$", "services come through game:GetService(...)"),
    "export": (r"export\s+(?:default|const|function|class|let)\b", "a module gives back one value: `return ...`"),
    "elif": (r"elif\b", "write `elseif`"),
    "elsif": (r"elsif\b", "write `elseif`"),
    "else": (r"else\s+if\b.*(?:\)|:|\{)\s*$", "write `elseif ... then`"),
    "endif": (r"endif\s*$", "every block closes with `end`"),
    "var": (r"var\s+\w", "write `local` instead of var"),
    "let": (r"let\s+\w", "write `local` instead of let"),
    "const": (r"const\s+\w", "write `local` instead of const"),
    "global": (r"global\s+\w+\s*$", "a variable is a global unless it is declared with `local`"),
    **dict.fromkeys(("int", "float", "double", "bool", "boolean", "char", "string", "String", "auto"), _TYPED),
    **dict.fromkeys(("public", "private", "protected", "static"), _MODIFIER),
    "class": (r"class\s+\w+\s*[:({]|class\s+\w+\s+extends\b", "a class is a table with methods and `__index`"),
    "struct": (r"struct\s+\w+\s*\{", "a structure is a table"),
    "enum": (r"enum\s+\w+\s*\{", "an enumeration is a table of constants"),
    "interface": (r"interface\s+\w+\s*\{", "a type of table is written `type Name = { field: type }`"),
    "constructor": (r"constructor\s*\(.*\{", "a constructor is a function that returns a table: `Class.new`"),
    "new": (r"new\s+\w+\s*\(", "objects come from `Class.new(...)`"),
    "try": (r"try\s*(?::\s*$|\{)", "write `pcall(function() ... end)` instead of try"),
    "except": (r"except\b.*:", "write `if not success then` after pcall instead of except"),
    "catch": (r"catch\s*[({]", "write `if not success then` after pcall instead of catch"),
    "finally": (r"finally\s*(?::\s*$|\{)", "what stands after pcall runs in any case"),
    "throw": (r"throw\s+\w", "write `error(message)` instead of throw"),
    "raise": (r"raise\s+\w", "write `error(message)` instead of raise"),
    "switch": (r"switch\s*\(", "write `if ... elseif ... end` instead of switch"),
    "match": (r"match\s+\w+\s*[:{]", "write `if ... elseif ... end` instead of match"),
    "case": (r"case\s+[^=]*:\s*$", "write `elseif value == ... then` instead of case"),
    "for": (r"for\s*\((?:.*;|.*\{\s*$|.*\bof\b)", "write `for i = first, last do` or `for key, value in list do`"),
    "foreach": (r"foreach\s*\(", "write `for key, value in list do`"),
    "pass": (r"pass\s*$", "a block may be empty: leave pass out"),
    "print": (r"print\s+(?!(?:and|or|then|do|end)\b)\w", "write `print(...)` with parentheses"),
    "is": (r"is\s+(?:not\s+)?(?:None|True|False|null)\b", "write == or ~= instead of is"),
}
_STARTING = frozenset(
    {"try", "except", "catch", "finally", "switch", "match", "case", "for", "foreach", "pass", "print"}
)


@few
def foreign_keyword(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A word of another language that Luau says in another way, such as ``def``, ``elif``, ``let`` or ``try``.

    Bad:
        import random
        def greet(player):
            print(player.Name)
    Bad:
        const door = workspace.Door;
        let isOpen = false;
    Bad:
        for (let i = 0; i < 3; i++) {
            print(i)
        }
    Good:
        local function greet(player)
            print(player.Name)
        end
    Good:
        local door = workspace.Door
        local isOpen = false
    """
    before = None
    for token in broken_tokens(tree):
        if token.text in _KEYWORDS and _is_foreign_place(tree, before, token):
            pattern, message = _KEYWORDS[token.text]
            if re.match(pattern, tree.source[token.start : min(line_end(tree, token), token.start + 200)]):
                yield spot(tree, token), message
        before = token


def _is_foreign_place(tree: Tree, before: Token | None, token: Token) -> bool:
    """Whether a word that follows ``before`` is no field and, if it starts statements, starts one here."""
    if before is None or "\n" in tree.source[before.end : token.start]:
        return True
    return before.text in ("}", ";") or (before.text not in (".", ":", "::") and token.text not in _STARTING)


_NAMES = {
    **dict.fromkeys(("None", "null", "nullptr", "undefined"), "nothing is written nil"),
    "True": "write true",
    "False": "write false",
    "this": "write `self`, inside a function declared with a colon",
    "console": "write print(...)",
    "Console": "write print(...)",
    "len": "the length of a list or a text is #value",
    "str": "write tostring(value)",
    "int": "write math.floor(value) or tonumber(text)",
    "float": "write tonumber(text)",
    "range": "write `for i = first, last do`",
    "enumerate": "write `for index, value in list do`",
    "isinstance": "write typeof(value) == ..., or instance:IsA(...)",
    "printf": "write print(string.format(...))",
    "println": "write print(...)",
}
_CALLED = frozenset({"len", "str", "int", "float", "range", "enumerate", "isinstance", "printf", "println"})
_BEFORE_FIELD_OR_TYPE = frozenset({".", ":", "::", "|", "&", "<", "local"})


@few
def foreign_name(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A constant or function of another language, such as ``None``, ``null``, ``True``, ``this`` or ``len``.

    Much of that compiles: Luau takes the name for a global that is never set.

    Bad:
        local door = workspace:FindFirstChild("Door")
        print(door == None)
    Good:
        local door = workspace:FindFirstChild("Door")
        print(door == nil)
    Bad:
        if script.Parent == None:
            print("no door")
    Good:
        if script.Parent == nil then
            print("no door")
        end
    """
    for node in foreign_globals(tree):
        if node.text in _NAMES:
            yield node, f"there is no `{node.text}`: {_NAMES[node.text]}"
    stream = broken_tokens(tree)
    for i, token in enumerate(stream):
        if token.kind != "name" or token.text not in _NAMES or (i and stream[i - 1].text in _BEFORE_FIELD_OR_TYPE):
            continue
        after = stream[i + 1].text if i + 1 < len(stream) else ""
        is_field = after == "=" or re.match(r"\s*:[^\n]*\w", tree.source[token.end : token.end + 100])
        if is_field or after in ("|", ">") or (token.text in _CALLED and after != "("):
            continue
        if not re.search(rf"\b(?:local|function)\s+{token.text}\b", tree.source):
            yield spot(tree, token), f"there is no `{token.text}`: {_NAMES[token.text]}"


@fact
def foreign_globals(tree: Tree) -> tuple[Node, ...]:
    """Where code that compiles reads a constant, or calls a function, of another language.

    The letters before a text, as in ``f"{name}"``, are among them: Luau takes the letter for a function.
    """
    if tree.compile_error is not None:
        return ()
    scopes = resolve(tree)
    defined = {node.text for node in scopes.global_writes}
    names, prefixes = _NAMES.keys() - defined, _PREFIXES - defined
    return tuple(
        node
        for node in scopes.global_reads
        if (node.text in names and (node.text not in _CALLED or node.parent.type == "function_call"))
        or (node.text in prefixes and tree.data[node.end : node.end + 1] in (b'"', b"'"))
    )


_PREFIXES = frozenset({"f", "r", "b", "u"})


@few
def foreign_string(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A text with a letter before its quotes, as Python writes ``f"..."``, or a slice such as ``text[1:2]``.

    Bad:
        print(f"{script.Name} is ready")
    Bad:
        local first = script.Name[0:1]
        print(first)
    Good:
        print(`{script.Name} is ready`)
    Good:
        local first = string.sub(script.Name, 1, 1)
        print(first)
    """
    for node in foreign_globals(tree):
        if node.text in _PREFIXES:
            yield node, "a text with values in it is written in backticks: `{name} joined`"
    stream = broken_tokens(tree)
    for i, token in enumerate(stream):
        after = stream[i + 1] if i + 1 < len(stream) else None
        if token.text in _PREFIXES and after and after.kind == "string" and after.start == token.end:
            if after.text[0] in "\"'":
                yield spot(tree, token), "a text with values in it is written in backticks: `{name} joined`"
        elif token.text == "[" and i and (stream[i - 1].kind == "name" or stream[i - 1].text in CLOSING):
            inside = re.match(r"\[\s*-?\w*\s*:\s*-?\w*\s*\]", tree.source[token.start : token.start + 100])
            if inside and stream[i - 1].text not in KEYWORDS:
                yield spot(tree, token), "there are no slices: write string.sub(text, first, last) or table.move(...)"


_BRACED = re.compile(
    r"""^\W*(?:(?:if|elseif|while|for|switch|catch)\b.*[\w)\]]|do|try|finally)\s*\{\s*$  # the head of a block
        |\bfunction\b[^{]*\)\s*\{\s*$ | =>\s*\{\s*$ | ^\s*\}\s*else\b.*\{\s*$""",
    re.VERBOSE,
)


@few
def braces(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A block in braces, as in JavaScript, C# and C.

    Bad:
        function open() {
            print("open")
        }
    Good:
        local function open()
            print("open")
        end
    """
    for number, line in broken_lines(tree):
        if _BRACED.search(line[:500]):
            yield number, "a block is closed by `end`, braces make tables"


@few
def colon_block(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A block that a colon opens, as in Python.

    Bad:
        if script.Parent:
            print("placed")
    Bad:
        for part in workspace:GetChildren():
            print(part.Name)
    Good:
        if script.Parent then
            print("placed")
        end
    """
    for number, line in broken_lines(tree):
        found = re.match(r"\s*(if|elseif|else|for|while)\b(?:.{0,500}[^:])?:\s*(?:#.*)?$", line[:600])
        if found:
            how = {"else": "follows `else` directly", "for": "stands between `do` and `end`"}
            how |= {"while": "stands between `do` and `end`"}
            yield number, f"a block {how.get(found[1], 'stands between `then` and `end`')}, without a colon"


@few
def assigned_condition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A condition that assigns with ``=`` where it should compare with ``==``.

    Bad:
        if script.Name = "Main" then
            print("main")
        end
    Good:
        if script.Name == "Main" then
            print("main")
        end
    """
    for head in broken_heads(tree):
        depth = 0
        for token in head.rest:
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if token.text == "=" and depth == 0 and head.opener.text != "for":
                yield spot(tree, token), "a condition compares with ==, = only assigns"
                break


def _is_operand(token: Token) -> bool:
    """Whether a value can end with this token, so that only an operator can follow it on the line."""
    return token.text in CLOSING or (
        token.kind != "symbol" and token.text not in KEYWORDS - {"nil", "true", "false", "end"}
    )
