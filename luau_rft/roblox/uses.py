"""Where a program uses the Roblox API in ways that several rules look at."""

from luau_rft.luau.scopes import targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, fact
from luau_rft.roblox.infer import Use, infer


@fact
def services(tree: Tree) -> list[tuple[Node, str]]:
    """Every service that ``game:GetService`` is asked for by a literal: where the name stands, and the name."""
    inference, found = infer(tree), []
    for call in tree.method_calls("GetService"):
        given, index = arguments(call), inference.indexes.get(call.get("name"))  # type: ignore[arg-type]
        name = inference.literal(given[0]) if given else None
        if name is not None and index is not None and type_name(tree, index.owner) == "DataModel":
            found.append((given[0], name))
    return found


@fact
def instances(tree: Tree) -> list[tuple[Node, Node, str | None]]:
    """Every call of Instance.new, its first argument and the class, where that is a literal."""
    inference, found = infer(tree), []
    for use in inference.uses:
        if use.static == "Instance" and use.index.name == "new" and (given := arguments_of(use)):
            found.append((use.index.node.parent, given[0], inference.literal(given[0])))
    return found  # type: ignore[return-value]


@fact
def assignments(tree: Tree) -> list[tuple[Use, Node]]:
    """Every known member that is set, and the value."""
    found = []
    for use in infer(tree).uses:
        value = value_set(use.index.node) if use.member is not None else None
        if value is not None:
            found.append((use, value))
    return found


def value_set(node: Node) -> Node | None:
    """The value that an assignment gives to ``node``."""
    statement = assignment_of(node)
    if statement is None:
        return None
    targets, values = targets_and_values(statement)
    at = targets.index(node)
    return values[at] if at < len(values) else None


def assignment_of(node: Node) -> Node | None:
    """The assignment that sets ``node``, if one does; ``+=`` and its like are none."""
    targets = node.parent
    if targets is None or targets.type != "variable_list" or node.field != "name":
        return None
    return targets.parent if targets.parent is not None and targets.parent.type == "assignment_statement" else None


def call_of(use: Use) -> Node | None:
    """The call of what the index stands for, if it is called."""
    node = use.index.node
    parent = node.parent
    return parent if parent is not None and parent.type == "function_call" and node.field == "name" else None


def arguments_of(use: Use) -> list[Node]:
    """What it is called with; nothing where it is not called."""
    call = call_of(use)
    return arguments(call) if call is not None else []


def type_name(tree: Tree, node: Node) -> str | None:
    """The name of an expression's type, where it is known."""
    found = infer(tree).type_of(node)
    return found.name if found is not None else None
