"""What statements look like once names, numbers and texts of their own are taken away."""

from luau_rft.luau.scopes import Scopes, resolve
from luau_rft.luau.tree import FUNCTIONS, Node, root_name

Shape = tuple[object, ...]
MAX_PARTS = 300  # of the tree; what comes later in a statement is not compared
_GAME = frozenset({"game", "workspace", "script"})


def shape(statement: Node, texts: bool = True) -> Shape:
    """Equal for statements that differ in the names of locals, in numbers and in texts that are assigned only.

    Without ``texts``, also for those that differ in any text, or in the parts of the game that they look up.

    >>> from luau_rft.luau.tree import parse
    >>> a, b, c = parse("local a = f(1) local b = f(2) local c = g(2)").root.children
    >>> shape(a) == shape(b), shape(b) == shape(c)
    (True, False)
    """
    scopes = resolve(statement.tree)
    parts: list[object] = []
    for node in statement.walk():
        parts.append(_part(node, scopes, texts))
        if len(parts) == MAX_PARTS:
            break
    return tuple(parts)


def _part(node: Node, scopes: Scopes, texts: bool) -> object:
    if node.type == "identifier":
        variable = scopes.of.get(node)
        if variable is None:
            return node.text if texts or not _is_looked_up(node) else "part"
        value = variable.value
        if value is not None and value.type in FUNCTIONS and node is not variable.node:
            body = value.get("body")  # functions are told apart by what they look like, too
            return tuple(child.type for child in body.children) if body is not None else ()
        return variable.kind
    if texts and node.type == "string" and node.parent is not None and node.parent.type == "arguments":
        return node.text
    return node.operator or node.type


def _is_looked_up(name: Node) -> bool:
    """Whether a name is ``Door`` of ``workspace.Map.Door``."""
    if name.field != "field" or name.parent is None:
        return False
    root = root_name(name.parent)
    return root is not None and root.text in _GAME
