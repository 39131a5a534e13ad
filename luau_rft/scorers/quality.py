"""Is it well made? Comments that say something, small functions, clear names, types, nothing left undone.

Only what is wrong costs: more comments, more lines or more functions than the code needs gain nothing.
"""

import re
from collections.abc import Iterator

from luau_rft.luau.scopes import Variable, function_of, resolve, targets_and_values
from luau_rft.luau.substance import statement_of
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, arguments, callee, method, strip
from luau_rft.scorers.base import Hit, Rule, Rules, Score
from luau_rft.scorers.comments import comments, elides, judged

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.
RULES = Rules(
    "quality",
    {
        "no-comments": Rule(0.12, 0.12, "Without a word on what it is for, code has to be guessed at."),
        "few-comments": Rule(0.05, 0.05, "Long code needs more than one comment to find the way through it."),
        "empty-comment": Rule(0.03, 0.15, "A comment that repeats the code, or itself, tells nothing."),
        "too-many-comments": Rule(0.15, 0.15, "More comment than code buries the code."),
        "todo": Rule(0.15, 0.3, "A script is asked for complete."),
        "elided-code": Rule(0.3, 0.6, "Code that is left to the reader does not run."),
        "placeholder": Rule(0.2, 0.4, "A placeholder is not an implementation."),
        "empty-function": Rule(0.15, 0.3, "A function or handler without a body does nothing."),
        "empty-block": Rule(0.1, 0.2, "A branch or loop without a body does nothing."),
        "repetition": Rule(0.08, 0.8, "The same statement again and again asks for a loop or a function."),
        "long-function": Rule(0.06, 0.18, "A function of more than 60 lines does more than one thing."),
        "deep-nesting": Rule(0.06, 0.18, "Code nested deeper than 5 levels is hard to follow; return early instead."),
        "indentation": Rule(0.02, 0.1, "Indentation shows what belongs to what."),
        "crammed-line": Rule(0.02, 0.1, "One statement a line can be read, changed and debugged by line."),
        "long-line": Rule(0.01, 0.05, "Lines of more than 120 characters do not fit beside the game in Studio."),
        "name-style": Rule(0.02, 0.04, "Variables are camelCase, classes PascalCase and constants LOUD_SNAKE_CASE."),
        "unclear-name": Rule(0.02, 0.04, "A name of one letter or of no meaning has to be looked up."),
        "no-strict": Rule(0.03, 0.03, "--!strict lets Studio find type errors before players do."),
        "untyped": Rule(0.05, 0.05, "Typed parameters say what a function takes and let Studio check it."),
        "service-order": Rule(0.03, 0.09, "Services stand at the top of the script, each fetched once."),
        "magic-wait": Rule(0.04, 0.08, "A fixed wait hopes that something is ready; wait for the thing itself."),
        "magic-number": Rule(0.01, 0.05, "A named constant says what a number means, and is changed in one place."),
        "debug-print": Rule(0.05, 0.05, "Prints are for finding mistakes; a finished script is quiet."),
    },
)  # fmt: skip

MAX_FUNCTION_LINES = 60
MAX_NESTING = 5
MAX_LINE = 120
LINES_PER_COMMENT = 40
MIN_REPEATED, MAX_REPEATED = 12, 60  # characters, blanks left out
MIN_COMMENTED_LINES = 6  # shorter code explains itself


def score(source: str, kind: str | None = None) -> Score:
    """1 less the penalties of what is badly made.

    >>> score("--!strict").value
    0.0
    """
    return RULES.score(source, kind)


# Comments


_TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK|TBD|WIP)\b")


def _code_lines(tree: Tree) -> set[int]:
    return {node.line for node in tree.nodes if not node.children and node.type not in ("chunk", "ERROR")}


@RULES.check
def no_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if len(_code_lines(tree)) >= MIN_COMMENTED_LINES and not judged(tree)[0]:
        yield 1, "no comment says what this is for: start with a line on its purpose"


@RULES.check
def few_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    lines, good = len(_code_lines(tree)), len(judged(tree)[0])
    if good and good < min(4, lines // LINES_PER_COMMENT):
        yield 1, f"{good} useful comments in {lines} lines of code: say what each part is for"


@RULES.check
def empty_comment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for comment in judged(tree)[1]:
        if comment.is_code:
            yield comment.node, "code that is commented out: remove it"
        elif comment.restates or not (comment.is_heading or comment.is_notice):
            yield comment.node, "this comment repeats the code or another comment: say why, or remove it"


@RULES.check
def too_many_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    prose = sum(len(comment.text) for comment in comments(tree) if not comment.is_notice)
    code = sum(len(line.strip()) for line in tree.source.split("\n")) - sum(len(node.text) for node in tree.comments)
    if prose > max(200, code):
        yield 1, "there is more comment than code: keep what the code cannot say"


# Completeness


@RULES.check
def todo(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.comments:
        if found := _TODO.search(node.text):
            yield node, f"{found[1]}: finish it"


@RULES.check
def elided_code(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.comments:
        if elides(node) and not _TODO.search(node.text):
            yield node, "code is left out here: write it"


_PLACEHOLDER = re.compile(
    r"not (?:yet )?implemented|placeholder|lorem ipsum|your[_ ](?:code|key|id|value)", re.IGNORECASE
)


@RULES.check
def placeholder(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("string"):
        is_text_box = node.parent is not None and "Placeholder" in node.parent.text
        if _PLACEHOLDER.search(node.text) and not is_text_box:
            yield node, f"{node.text[:40]} stands for something that is missing"


@RULES.check
def empty_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for function in tree.of(*FUNCTIONS):
        body = function.get("body")
        name = function.get("name") or _assigned_name(function)
        if (body is None or not body.children) and not (name is not None and re.search(r"(?i)noop|empty", name.text)):
            yield function, "this function has no body"


@RULES.check
def empty_block(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("if_statement", "elseif_statement", "else_statement", "for_statement", "do_statement"):
        fields = ("consequence",) if node.type in ("if_statement", "elseif_statement") else ("body",)
        has_body = any(part is not None and part.children for part in map(node.get, fields))
        if not has_body and not (node.type == "do_statement" and node.children):
            yield node, "nothing happens in here"


@RULES.check
def repetition(tree: Tree, kind: str | None) -> Iterator[Hit]:
    counts: dict[tuple[Node | None, str], int] = {}
    for node in tree.nodes:
        if node.is_statement:
            text = "".join(node.text.split())
            place = node.parent if len(text) < MAX_REPEATED else None  # short ones count in the same block only
            counts[place, text] = counts.get((place, text), 0) + 1
            if counts[place, text] > 2 and len(text) >= MIN_REPEATED:
                yield node, "this statement was there twice before: use a loop or a function"


# Structure


@RULES.check
def long_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for function in tree.of(*FUNCTIONS):
        lines = function.last_line - function.line + 1
        inner = sum(
            node.last_line - node.line for node in function.walk() if node.type in FUNCTIONS and node != function
        )
        if lines - inner > MAX_FUNCTION_LINES:
            yield function, f"this function has {lines} lines: split it"


@RULES.check
def deep_nesting(tree: Tree, kind: str | None) -> Iterator[Hit]:
    depths: dict[Node, int] = {}
    for node in tree.nodes:  # parents come first
        above = depths.get(node.parent, 0) if node.parent else 0
        depths[node] = above + (node.type == "block")
        if node.type == "block" and depths[node] == MAX_NESTING + 1:
            yield node, f"nested {depths[node]} levels deep: return early, or make a function of it"


@RULES.check
def indentation(tree: Tree, kind: str | None) -> Iterator[Hit]:
    lines = tree.source.split("\n")

    def indent(node: Node) -> str | None:
        """The blanks before a node that starts its line."""
        before = lines[node.line - 1][: node.column - 1]
        return before if not before.strip() else None

    for block in tree.of("block"):
        around = next((above for above in block.ancestors() if above.is_statement), None)
        first = block.children[0] if block.children else None
        if around is None or first is None or first.line == around.line:
            continue
        outer = lines[around.line - 1]
        outer = outer[: len(outer) - len(outer.lstrip())]
        own = indent(first)
        if own is not None and len(own) <= len(outer):
            yield first, "indent what stands inside a block"
        for node in block.children[1:]:
            if own is not None and indent(node) not in (None, own):
                yield node, "indent the statements of a block alike"


@RULES.check
def crammed_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for block in tree.of("block", "chunk"):
        for before, after in zip(block.children, block.children[1:], strict=False):
            if before.last_line == after.line and after.is_statement:
                yield after, "start a new line for this statement"


@RULES.check
def long_line(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for number, line in enumerate(tree.source.split("\n"), start=1):
        if len(line.expandtabs(4)) > MAX_LINE and "://" not in line:
            yield number, f"this line has {len(line)} characters: break it"


# Names


@RULES.check
def name_style(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for variable in resolve(tree).variables:
        name = variable.name.strip("_")
        if not name or name == "self":
            continue
        is_constant = name.upper() == name
        if "_" in name and not is_constant:
            yield variable.node, f"`{variable.name}`: write it in camelCase"
        elif name[0].isupper() and not is_constant and not _may_be_pascal(variable):
            yield (
                variable.node,
                f"`{variable.name}`: variables are written in camelCase, classes and services in PascalCase",
            )


def _may_be_pascal(variable: Variable) -> bool:
    """Services, modules, classes (tables) and what comes out of a tree of instances keep their capital."""
    if variable.kind != "local":
        return variable.kind == "function"  # components and classes are made by functions with a capital
    value = strip(variable.value) if variable.value is not None else None
    if value is None or value.type in (
        "table_constructor",
        "dot_index_expression",
        "if_expression",
        "binary_expression",
    ):
        return True
    if value.type != "function_call":
        return False
    return callee(value) in ("require", "setmetatable") or method(value) in (
        "GetService",
        "WaitForChild",
        "FindFirstChild",
    )


_MEANINGLESS = re.compile(r"(?:foo|bar|baz|tmp|temp|thing|stuff|var|test|obj|val|data|value|str|num)\d+|foo|baz|stuff")
_COMMON_LETTERS = frozenset("abcijknrstuvxyzXYZKTVM")


@RULES.check
def unclear_name(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for variable in resolve(tree).variables:
        name = variable.name
        if (len(name) == 1 and name not in _COMMON_LETTERS and name != "_") or _MEANINGLESS.fullmatch(name):
            yield variable.node, f"`{name}` says nothing: name what it holds"


# Types


@RULES.check
def no_strict(tree: Tree, kind: str | None) -> Iterator[Hit]:
    first_code = tree.root.children[0].start if tree.root.children else len(tree.data)
    if not any(node.text.strip() == "--!strict" for node in tree.comments if node.start < first_code):
        yield 1, "start the script with --!strict"


@RULES.check
def untyped(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Half of the named functions' parameters is enough: types of callbacks follow from what they are given to."""
    lists = (function.get("parameters") for function in tree.of("function_declaration"))
    parameters = [part for part in lists if part is not None for part in part.children]
    typed = sum(part.typed for part in parameters)
    if parameters and 2 * typed < len(parameters):
        yield parameters[0], "declare what type each parameter has"


# Habits of Roblox scripts


@RULES.check
def service_order(tree: Tree, kind: str | None) -> Iterator[Hit]:
    seen: set[str] = set()
    after_code = False
    top = {node for node in tree.root.children if node.is_statement}
    for node in tree.nodes:
        if node in top and node.type not in ("variable_declaration", "type_definition"):
            after_code = True
        if node.type == "function_call" and callee(node) == "game:GetService" and arguments(node):
            if arguments(node)[0].type != "string":
                continue
            name = arguments(node)[0].text
            if name in seen:
                yield node, f"{name} was fetched before: use the variable"
            elif function_of(node) is not None:
                yield node, f"fetch {name} once, at the top of the script"
            elif after_code and statement_of(node) in top:
                yield node, f"move {name} to the top of the script"
            seen.add(name)


@RULES.check
def magic_wait(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for call in tree.of("function_call"):
        if callee(call) in ("wait", "task.wait") and arguments(call) and arguments(call)[0].type == "number":
            in_loop = any(above.type in LOOPS for above in call.ancestors())
            if call.is_statement and not in_loop and function_of(call) is None:
                yield call, "wait for what is needed (WaitForChild, an event), not for a number of seconds"


_PLAIN_NUMBERS = frozenset({"0", "1", "2", "3", "4", "5", "10", "60", "100", "1000", "0.5", "0.1", "180", "360", "255"})


@RULES.check
def magic_number(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node in tree.of("number"):
        if node.text in _PLAIN_NUMBERS or function_of(node) is None:
            continue
        statement = statement_of(node)
        sets_property = statement is not None and statement.type == "assignment_statement"
        is_argument = any(above.type in ("arguments", "field") for above in node.ancestors() if above is not statement)
        if not is_argument and not sets_property and statement is not None and statement.type != "variable_declaration":
            yield node, f"name {node.text} in a constant at the top"


@RULES.check
def debug_print(tree: Tree, kind: str | None) -> Iterator[Hit]:
    calls = [node for node in tree.of("function_call") if node.is_statement]
    prints = [call for call in calls if callee(call) == "print"]
    if len(prints) > 3 and 3 * len(prints) > len(calls):
        yield prints[0], f"{len(prints)} prints: keep warn for what goes wrong"


def _assigned_name(function: Node) -> Node | None:
    """The name that a function expression is given in its declaration, assignment or table field."""
    if function.parent is not None and function.parent.type == "field":
        return function.parent.get("name")
    statement = statement_of(function)
    if statement is None or statement.type not in ("variable_declaration", "assignment_statement"):
        return None
    targets, values = targets_and_values(statement)
    return targets[values.index(function)] if function in values[: len(targets)] else None
