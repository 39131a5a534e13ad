"""Where a program's flow ends: what never runs, what never stops."""

from collections.abc import Iterator

from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, callee, fact, strip


@fact
def ending(tree: Tree) -> frozenset[Node]:
    """The statements and blocks after which nothing in the same block runs.

    >>> from luau_rft.luau.tree import parse
    >>> sorted(node.type for node in ending(parse("do return 1 end")))
    ['block', 'do_statement', 'return_statement']
    """
    found = {*tree.of("return_statement", "break_statement", "continue_statement")}
    found.update(call for call in tree.calls("error") if call.is_statement)
    compound = tree.of("block", "do_statement", "if_statement", "while_statement", "repeat_statement")
    for node in reversed(compound):  # children first
        if _ends(node, found):
            found.add(node)
    return frozenset(found)


def _ends(node: Node, found: set[Node]) -> bool:
    match node.type:
        case "block" | "do_statement":
            return any(child in found for child in node.children)
        case "if_statement":
            bodies = [body for _, body in branches(node)]
            has_else = any(condition is None for condition, _ in branches(node))
            return has_else and all(body is not None and body in found for body in bodies)
        case "while_statement" | "repeat_statement":
            return runs_forever(node) and not any(leaves(node))
    return False


def branches(statement: Node) -> list[tuple[Node | None, Node | None]]:
    """Condition and body of each branch of an ``if``; the ``else`` has no condition, an empty branch no body."""
    found = [(statement.get("condition"), statement.get("consequence"))]
    for part in statement.all("alternative"):
        is_else = part.type == "else_statement"
        found.append((None, part.get("body")) if is_else else (part.get("condition"), part.get("consequence")))
    return found


def constant(expression: Node | None) -> bool | None:
    """The truth of an expression that is a literal, None for any other."""
    negated = False
    while expression is not None:
        expression = strip(expression)
        if expression.type == "unary_expression" and expression.operator == "not":
            expression, negated = expression.get("operand"), not negated
        elif expression.type in ("true", "number", "string", "table_constructor", "function_definition"):
            return not negated
        else:
            return negated if expression.type in ("false", "nil") else None
    return None


def runs_forever(loop: Node) -> bool:
    """Whether the condition of a ``while`` or ``repeat`` never ends it."""
    return constant(loop.get("condition")) is (loop.type == "while_statement")


def own_nodes(body: Node) -> Iterator[Node]:
    """The nodes below ``body`` that run with it: those of nested functions are left out."""
    stack = list(reversed(body.children))
    while stack:
        node = stack.pop()
        yield node
        if node.type not in FUNCTIONS:
            stack.extend(reversed(node.children))


def leaves(loop: Node) -> Iterator[Node]:
    """The ``break``, ``return`` and ``error`` by which a loop is left."""
    for node in own_nodes(loop):
        if node.type == "break_statement":
            if next(above for above in node.ancestors() if above.type in LOOPS) is loop:
                yield node
        elif node.type == "return_statement" or (node.type == "function_call" and callee(node) == "error"):
            yield node


def unreachable(tree: Tree) -> Iterator[tuple[Node, str]]:
    """The first statement of each part that can never run, and why."""
    ends = ending(tree)
    for block in tree.of("block", "chunk"):
        if block.type == "block" and block not in ends:
            continue
        for before, after in zip(block.children, block.children[1:], strict=False):
            if before in ends:
                what = "a loop that never ends" if before.type in LOOPS else "what always leaves the block"
                yield after, f"it follows {what} on line {before.line}"
                break
    for node in tree.of("if_statement"):
        for condition, body in branches(node):
            if constant(condition) is False and body is not None:
                yield body, "its condition is never true"
    for loop in tree.of("while_statement"):
        if constant(loop.get("condition")) is False:
            yield loop, "its condition is never true"
