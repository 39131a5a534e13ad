"""Changes that add nothing to what a program does, and what each of them does to its composite.

A model that is rewarded by the scorers learns whatever raises them. So none of these changes may raise the composite
of a weak program by more than 0.02. Three of them do make code better to read and may gain that much, which is 0.08 of
quality: ``reindented``, ``strict`` and ``renamed``. The others have nothing to gain.

Most changes add code or comments that do nothing below the opening comment (``padding.yaml``); the others rewrite what
is there. A program that does not compile is changed all the same, as far as its tree shows what is what; only
``reindented`` leaves it alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from luau_rft.luau.compiler import compile_error
from luau_rft.luau.scopes import parameter_names, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, parse


@dataclass(frozen=True, slots=True)
class Transform:
    """``what`` says in a sentence what is done to a program; ``apply`` does it."""

    name: str
    what: str
    apply: Callable[[str], str]


PADDING: dict[str, str] = yaml.safe_load(Path(__file__).with_name("padding.yaml").read_text(encoding="utf-8"))


def padded(source: str, code: str) -> str:
    """Put code below the comments that a program opens with.

    >>> padded("--!strict\\nf()", "g()\\n")
    '--!strict\\ng()\\nf()'
    """
    head = re.match(r"(?:--(?!\[=*\[)[^\n]*\n)*", source)[0]
    return head + _tabbed(code) + source[len(head) :]


def comment_above_each_statement(source: str) -> str:
    """Above every statement stands a comment of its own."""
    words = ("First", "Then", "Next", "After that", "Now", "Here", "Finally")
    return _above_statements(source, lambda i, _: f"-- {words[i % len(words)]} we do step {i + 1} of what is needed.")


def comment_that_repeats_the_code(source: str) -> str:
    """Above every statement stands its own text in a comment."""
    return _above_statements(source, lambda _, node: "-- " + " ".join(node.text.split())[:60])


def section_headers(source: str) -> str:
    """A headline in a comment stands above every third statement."""
    names = ("SETUP", "CONFIGURATION", "STATE", "HANDLERS", "HELPERS", "MAIN")
    return _above_statements(source, lambda i, _: f"----- {names[i // 3 % len(names)]} -----" if i % 3 == 0 else None)


def documented_functions(source: str) -> str:
    """Above every function stands a documentation comment with its parameters."""

    def document(_: int, node: Node) -> str | None:
        if node.type != "function_declaration" or node.get("parameters") is None:
            return None
        names = parameter_names(node.get("parameters"))
        return "\n".join(["--- Performs the operation.", *(f"-- @param {n.text} The value of it." for n in names)])

    return _above_statements(source, document)


def strict(source: str) -> str:
    """The program starts with --!strict."""
    return source if source.startswith("--!strict") else "--!strict\n" + source


def annotated_any(source: str) -> str:
    """Every parameter and local without a type is annotated as any."""
    tree = parse(source)
    places = [name for node in tree.of("parameters") for name in parameter_names(node)]
    for node in tree.of("variable_declaration"):
        places += targets_and_values(node)[0]
    bare = [node for node in places if not tree.data[node.end :].lstrip().startswith(b":")]
    return _inserted(tree, {node.end: ": any" for node in bare})


def renamed(source: str) -> str:
    """All locals get names of two words in camelCase."""
    nouns = ("player", "item", "target", "current", "active", "shared", "main", "local")
    things = ("Value", "State", "Object", "Record", "Handler", "Group")
    tree = parse(source)
    scopes = resolve(tree)
    new = {
        variable: f"{nouns[i % len(nouns)]}{things[i // len(nouns) % len(things)]}{i // 48 or ''}"
        for i, variable in enumerate(v for v in scopes.variables if v.name not in ("_", "self"))
    }
    edits = [(node.start, node.end, new[variable]) for node, variable in scopes.of.items() if variable in new]
    return _replaced(tree, edits)


def duplicated_functions(source: str) -> str:
    """Every local function stands there twice, the second time under a name that nobody uses."""
    tree = parse(source)
    copies = {}
    for node in tree.of("function_declaration"):
        if node.field == "local_declaration" and node.is_statement:
            name = node.get("name")
            text = tree.data[node.start : name.end] + b"Again" + tree.data[name.end : node.end]
            copies[node.end] = "\n" + text.decode()
    return _inserted(tree, copies)


def stubs_for_members(source: str) -> str:
    """Every table that the program names in a method gets further methods without a body."""
    tree = parse(source)
    owners = {
        node.get("name").get("table").text: node.end
        for node in tree.of("function_declaration")
        if node.get("name") is not None and node.get("name").get("table") is not None and node.is_statement
    }
    methods = ("Update", "Validate", "Cleanup")
    return _inserted(
        tree, {end: "".join(f"\nfunction {owner}:{m}() end" for m in methods) for owner, end in owners.items()}
    )


def repeated_last_statement(source: str) -> str:
    """The last statement stands there four times."""
    tree = parse(source)
    last = next((node for node in reversed(tree.root.children) if node.is_statement), None)
    if last is None or last.type in ("return_statement", "break_statement"):
        return source
    return _inserted(tree, {last.end: ("\n" + last.text) * 3})


def no_op_in_each_function(source: str) -> str:
    """Every function starts with a call of an empty pcall."""
    return _in_functions(source, "pcall(function() end)")


def guard_in_each_function(source: str) -> str:
    """Every function starts with a guard that is never taken."""
    return _in_functions(source, "if not game then return nil end")


def print_in_each_function(source: str) -> str:
    """Every function starts with a print."""
    return _in_functions(source, 'print("The function is called")')


def filled_empty_functions(source: str) -> str:
    """Functions without a body get one that does nothing."""
    tree = parse(source)
    empty = [node for node in tree.of(*FUNCTIONS) if node.get("body") is None and node.get("parameters") is not None]
    return _inserted(tree, {node.end - 3: " local _ready = true\n" for node in empty if node.text.endswith("end")})


def wrapped_in_do(source: str) -> str:
    """The whole program stands in a do block."""
    return _wrapped(source, "do", "end")


def wrapped_in_function(source: str) -> str:
    """The whole program stands in a function that is called."""
    return _wrapped(source, "return (function()" if _returns(source) else "(function()", "end)()")


def wrapped_in_spawn(source: str) -> str:
    """The whole program stands in task.spawn, unless it returns something."""
    return source if _returns(source) else _wrapped(source, "task.spawn(function()", "end)")


def wrapped_in_pcall(source: str) -> str:
    """The whole program stands in a pcall whose result is warned of, unless it returns something."""
    if _returns(source):
        return source
    head = "local hasSucceeded, problem = pcall(function()"
    return _wrapped(source, head, "end)\nif not hasSucceeded then\n\twarn(problem)\nend")


def reindented(source: str) -> str:
    """Every line is indented with tabs by the depth of its block."""
    tree = parse(source)
    if tree.compile_error is not None:
        return source
    lines = tree.data.split(b"\n")
    depth = [0] * len(lines)
    for node in tree.of("block", "table_constructor", "arguments"):
        if node.type == "block":
            for at in range(node.line - 1, node.last_line):
                depth[at] += node.line > node.parent.line or at > node.line - 1
    fixed = {at for node in (*tree.of("string"), *tree.comments) for at in range(node.line, node.last_line)}
    for at, line in enumerate(lines):
        if at not in fixed:
            lines[at] = (b"\t" * depth[at] + line.strip()).rstrip()
    return b"\n".join(lines).decode()


def spaced(source: str) -> str:
    """An empty line stands above every statement at the top."""
    tree = parse(source)
    return _inserted(tree, {node.start: "\n" for node in tree.root.children if node.is_statement and node.column == 1})


def without_comments(source: str) -> str:
    """All comments are gone, directives apart."""
    tree = parse(source)
    return _replaced(tree, [(c.start, c.end, "") for c in tree.comments if not c.text.startswith("--!")])


def _above_statements(source: str, text: Callable[[int, Node], str | None]) -> str:
    """A comment above each statement that starts its line."""
    tree = parse(source)
    inserted: dict[int, str] = {}
    for i, node in enumerate(node for node in tree.nodes if node.is_statement):
        start = tree.data.rfind(b"\n", 0, node.start) + 1
        indentation = tree.data[start : node.start].decode()
        if not indentation.strip() and start not in inserted and (comment := text(i, node)) is not None:
            inserted[start] = "".join(f"{indentation}{line}\n" for line in comment.split("\n"))
    return _inserted(tree, inserted)


def _in_functions(source: str, code: str) -> str:
    tree = parse(source)
    bodies = [node.get("body") for node in tree.of(*FUNCTIONS) if node.get("body") is not None]
    return _inserted(tree, {body.start: f"{code}\n{' ' * (body.column - 1)}" for body in bodies})


def _wrapped(source: str, head: str, tail: str) -> str:
    directives = re.match(r"(?:--![^\n]*\n)*", source)[0]
    body = source[len(directives) :]
    indented = re.sub(r"(?m)^(?=.)", "\t", body) if not parse(source).errors and "[[" not in body else body
    return f"{directives}{head}\n{indented}\n{tail}\n"


def _returns(source: str) -> bool:
    return any(node.type == "return_statement" for node in parse(source).root.children)


def _inserted(tree: Tree, texts: dict[int, str]) -> str:
    return _replaced(tree, [(at, at, text) for at, text in texts.items()])


def _replaced(tree: Tree, edits: list[tuple[int, int, str]]) -> str:
    pieces, done = [], 0
    for start, end, text in sorted(edits):
        pieces += [tree.data[done:start], text.encode()]
        done = end
    return b"".join([*pieces, tree.data[done:]]).decode()


def _tabbed(code: str) -> str:
    return re.sub(r"(?m)^( {4})+", lambda match: "\t" * (len(match[0]) // 4), code)


def _everything(source: str) -> str:
    """All of the padding at once, as far as it can stand in one scope."""
    for code in PADDING.values():
        source = padded(source, code if compile_error(f"do {code} end") else f"do\n{code}end\n")
    return source


_REWRITES = (
    comment_above_each_statement, comment_that_repeats_the_code, section_headers, documented_functions, strict,
    annotated_any, renamed, duplicated_functions, stubs_for_members, repeated_last_statement, no_op_in_each_function,
    guard_in_each_function, print_in_each_function, filled_empty_functions, wrapped_in_do, wrapped_in_function,
    wrapped_in_spawn, wrapped_in_pcall, reindented, spaced, without_comments,
)  # fmt: skip

TRANSFORMS = (
    *(
        Transform(name, f"Below the opening comment is added: {name}.", lambda source, code=code: padded(source, code))
        for name, code in PADDING.items()
    ),
    *(Transform(f.__name__.replace("_", " "), (f.__doc__ or "").strip(), f) for f in _REWRITES),
    Transform("all padding", _everything.__doc__ or "", _everything),
)
