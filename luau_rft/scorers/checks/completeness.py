"""Nothing is left undone."""

import re
from collections.abc import Iterator

from luau_rft.luau.comments import elides
from luau_rft.luau.flow import branches, ending, own_nodes
from luau_rft.luau.scopes import parameter_names, resolve, targets_and_values
from luau_rft.luau.shapes import shape
from luau_rft.luau.substance import is_data, living, returned, statement_of, substantive
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, strip
from luau_rft.roblox.infer import CONNECTING
from luau_rft.scorers.base import Hit

_TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK|TBD|WIP)\b")


def todo(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comment says that something is still to be done.

    Bad:
        -- TODO: take coins away again
        workspace.Name = "Arena"
    Good:
        -- Coins are taken away by the shop.
        workspace.Name = "Arena"
    """
    for node in tree.comments:
        if found := _TODO.search(node.text):
            yield node, f"{found[1]}: finish it"


def elided_code(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comment stands where code was left out.

    Bad:
        workspace.Name = "Arena"
        -- ... rest of the code
    Good:
        workspace.Name = "Arena"
        workspace.Gravity = 50
    """
    for node in tree.comments:
        if elides(node) and not _TODO.search(node.text):
            yield node, "code is left out here: write it"


_PLACEHOLDER = re.compile(
    r"not (?:yet )?implemented|placeholder|lorem ipsum|your[_ ](?:code|key|id|value)", re.IGNORECASE
)


def placeholder(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A text stands for something that is missing; the placeholders of text boxes are meant.

    Bad:
        error("not implemented")
    Good:
        script.Parent.PlaceholderText = "Your value"
    """
    text = tree.source.lower()
    if not any(word in text for word in ("implemented", "placeholder", "lorem", "your")):
        return
    for node in tree.of("string"):
        if _PLACEHOLDER.search(node.text) and (statement := statement_of(node)) is not None:
            before = tree.data[max(statement.start, node.start - 200) : node.start]
            if b"Placeholder" not in before:
                yield node, f"{node.text[:40]} stands for something that is missing"


_MEANT_EMPTY = re.compile(r"(?i)noop|no_op|empty|nothing|dummy|^_")
_HANDED_ON = frozenset({"Connect", "Once", "connect", "ConnectParallel", "BindToClose", "BindToRenderStep"})


def empty_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A declared function or a handler has no body; one called ``noop`` or the like is meant to have none.

    So is a method whose parameters all start with ``_``: other classes give it a body.

    Bad:
        workspace.ChildAdded:Connect(function(child) end)
    Good:
        workspace.ChildAdded:Connect(function(child)
            child:SetAttribute("Seen", true)
        end)
    Good:
        local Enemy = {}
        Enemy.__index = Enemy
        function Enemy:update(_seconds: number) end
        return Enemy
    """
    for function in tree.of(*FUNCTIONS):
        body = function.get("body")
        if (body is None or not body.children) and _is_asked_for(function) and not _is_abstract(function):
            yield function, "this function has no body"


def _is_asked_for(function: Node) -> bool:
    """Whether a function is declared under a telling name, or handed to an event, ``pcall`` or ``task.spawn``."""
    above = function.parent
    if above is not None and above.type == "arguments" and above.parent is not None:
        called = callee(above.parent)
        return called.rpartition(":")[2] in _HANDED_ON or called in ("pcall", "task.spawn", "task.defer", "spawn")
    name = function.get("name") or _assigned_name(function)
    return name is not None and not _MEANT_EMPTY.search(name.text.rpartition(".")[2])


def _is_abstract(function: Node) -> bool:
    """Whether a method is there for other classes to override: it says that it leaves all its parameters unused."""
    name, parameters = function.get("name"), function.get("parameters")
    names = parameter_names(parameters) if parameters is not None else []
    is_method = name is not None and name.type == "method_index_expression"
    return is_method and bool(names) and all(parameter.text.startswith("_") for parameter in names)


def _assigned_name(function: Node) -> Node | None:
    """The name that a function expression is given in its declaration or assignment."""
    statement = statement_of(function)
    if statement is None or statement.type not in ("variable_declaration", "assignment_statement"):
        return None
    targets, values = targets_and_values(statement)
    return targets[values.index(function)] if function in values[: len(targets)] else None


def printing_handler(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A handler does nothing but print.

    Bad:
        workspace.ChildAdded:Connect(function(child)
            print("added", child)
        end)
    Good:
        workspace.ChildAdded:Connect(function(child)
            child:SetAttribute("Added", os.time())
        end)
    """
    for function in tree.of("function_definition"):
        body, above = function.get("body"), function.parent
        if body is None or not body.children or above is None or above.type != "arguments" or above.parent is None:
            continue
        is_handler = callee(above.parent).rpartition(":")[2] in _HANDED_ON
        if is_handler and all(child.type == "function_call" and callee(child) == "print" for child in body.children):
            yield function, "this handler only prints: do what the event asks for"


def empty_block(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A branch, a loop or a ``do`` block holds nothing.

    Bad:
        if workspace.Name == "Arena" then
        end
    Bad:
        for i = 1, 10 do
        end
    Good:
        if workspace.Name == "Arena" then
            workspace.Gravity = 50
        end
    Like: selene empty_if, selene empty_loop
    """
    for node in tree.of("if_statement", "elseif_statement"):
        body = node.get("consequence")
        if body is None or not body.children:
            yield node, "nothing happens in here"
    for node in tree.of("else_statement", "for_statement", "while_statement"):
        body = node.get("body")
        if body is None or not body.children:
            yield node, "nothing happens in here"
    for node in tree.of("do_statement"):
        body = node.get("body")
        if not (body.children if body is not None else node.children):
            yield node, "nothing happens in here"


FEW_STATEMENTS = 5


def slight_program(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The program has fewer than five statements that do something: little to be well made.

    What returns a function or a table may well be as short as that, and so may a handler that does something after
    guards and bookkeeping.

    Bad:
        workspace.Name = "Arena"
        workspace.Gravity = 50
        workspace:SetAttribute("Open", true)
    Good:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            local stats = Instance.new("Folder")
            stats.Name = "leaderstats"
            local coins = Instance.new("IntValue")
            coins.Name = "Coins"
            coins.Parent = stats
            stats.Parent = player
            player:SetAttribute("Ready", true)
        end)
    """
    found = len(substantive(tree))
    if found >= FEW_STATEMENTS or (kind in (None, "module") and (_gives_values(tree) or is_data(tree))):
        return
    if not any(map(_does_guarded_work, _handlers(tree))):
        does = "statement changes" if found == 1 else "statements change"
        yield 1, f"{found or 'no'} {does} the game or work a value out: a script does more"


def _handlers(tree: Tree) -> Iterator[Node]:
    """The functions that are connected to an event."""
    scopes = resolve(tree)
    for call in tree.method_calls(*sorted(CONNECTING)):
        for given in map(strip, arguments(call)[:1]):
            variable = scopes.of.get(given)
            function = strip(variable.value) if variable is not None and variable.value is not None else given
            if function.type in FUNCTIONS:
                yield function


def _does_guarded_work(function: Node) -> bool:
    """Whether a function has an effect behind a guard that returns, in five statements that are not alike."""
    body, tree = function.get("body"), function.tree
    inside = [node for node in own_nodes(body) if node in living(tree)] if body is not None else []
    is_guarded = any(node.type == "if_statement" and _returns(node) for node in inside)
    has_effect = any(node.type != "return_statement" and node in substantive(tree) for node in inside)
    return is_guarded and has_effect and len(set(map(shape, inside))) >= FEW_STATEMENTS


def _returns(statement: Node) -> bool:
    return any(body in ending(statement.tree) for _, body in branches(statement))


def _gives_values(tree: Tree) -> bool:
    value = returned(tree)
    return value is not None and value.type in ("table_constructor", *FUNCTIONS)


MAX_PRINTS = 3


def debug_print(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Prints make up more than a quarter of the calls, and are more than three.

    Bad:
        print("start")
        print("name", workspace.Name)
        workspace:SetAttribute("Open", true)
        print("opened")
        print("done")
    Good:
        workspace:SetAttribute("Open", true)
    """
    prints = [call for call in tree.calls("print") if call.is_statement]
    if len(prints) > MAX_PRINTS:
        others = sum(node.type == "function_call" for node in living(tree))
        if 3 * len(prints) > others:
            yield prints[0], f"{len(prints)} prints: keep warn for what goes wrong"
