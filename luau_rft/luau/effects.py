"""Calls, assignments and instances that leave the game as it was."""

from luau_rft.luau.constants import is_constant
from luau_rft.luau.scopes import Variable, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, fact, method, root_name, strip

# They run the function that they are given, and add nothing to it.
PROTECTED = frozenset({"pcall", "xpcall"})
WRAPPERS = PROTECTED | {"task.spawn", "task.defer", "spawn", "coroutine.wrap", "coroutine.resume"}
SILENT_CALLS = frozenset(
    [
        "print", "warn", "wait", "task.wait", "tick", "time", "os.time", "os.clock", "os.date", "os.difftime", "type",
        "typeof", "tostring", "tonumber", "select", "next", "pairs", "ipairs", "unpack", "rawget", "rawequal", "rawlen",
        "getmetatable", "require", "assert", "error", "collectgarbage", "gcinfo", "newproxy", "debug.traceback",
        "debug.info", "coroutine.create", "coroutine.running", "table.concat", "table.find", "table.unpack",
        "table.pack", "table.create", "table.clone", "table.maxn",
    ]
)  # fmt: skip
_PURE_LIBRARIES = frozenset({"math", "string", "utf8", "bit32", "vector", "buffer", "Vector3", "Vector2", "CFrame"})
_GETTERS = ("Get", "Find", "Is", "Has", "Wait", "Clone")
_NOTHING_ADDED = ("+0", "-0", "*1", "/1", "^1", '..""', "..''")
_MAX_TEXT = 300  # bytes; longer assignments are not compared word by word
# What can be done to an instance without the game noticing, as long as it has no parent.
_LOOSE_METHODS = frozenset(
    {
        "Destroy", "Remove", "SetAttribute", "AddTag", "RemoveTag", "ClearAllChildren", "PivotTo", "Fire", "FireServer",
        "FireClient", "FireAllClients", "Invoke", "InvokeServer", "InvokeClient",
    }
)  # fmt: skip
_TWEEN_METHODS = frozenset({"Play", "Pause", "Cancel", "Destroy"})
_TWEEN_ARGUMENTS = 3  # TweenService:Create(instance, info, goals)
_NOTES = frozenset({"SetAttribute", "AddTag", "RemoveTag"})
_GAME = frozenset({"game", "workspace", "script"})
_REPEATED = frozenset({"while_statement", "repeat_statement"})
_MAX_HOPS = 8  # of a local that stands for a part of another one
_SETS = frozenset({"assignment_statement", "update_statement", "variable_declaration"})


def is_silent(call: Node, name: str) -> bool:
    """Whether a call of the function ``name`` does nothing but give back a value.

    >>> from luau_rft.luau.tree import parse
    >>> [is_silent(call, callee(call)) for call in parse("math.abs(1) part:GetMass() part:Destroy()").root.children]
    [True, True, False]
    """
    if name in SILENT_CALLS:
        return True
    called = method(call)
    if called is not None:
        return called.startswith(_GETTERS) and not called.endswith("Async")
    library, _, function = name.partition(".")
    if library in _PURE_LIBRARIES:
        return True
    if name == "setmetatable":
        return bool(arguments(call)) and arguments(call)[0].type == "table_constructor"
    is_parented = library == "Instance" and len(arguments(call)) > 1
    root = root_name(call) if function == "new" else None
    return root is not None and library[:1].isupper() and root not in resolve(call.tree).of and not is_parented


def changes_nothing(statement: Node) -> bool:
    """Whether an assignment leaves everything as it was: ``a.b = a.b``, ``a.b += 0``.

    >>> from luau_rft.luau.tree import parse
    >>> [changes_nothing(node) for node in parse("a.b = a.b\\na.b += 0\\na.b += 1").root.children]
    [True, True, False]
    """
    if statement.end - statement.start > _MAX_TEXT:
        return False
    target, _, value = "".join(statement.text.split()).partition("=")
    value = _unwrapped(value)
    if target[-1:] + value in _NOTHING_ADDED or target[-2:] + value in _NOTHING_ADDED:
        return True
    added = value.removeprefix(target) if value.startswith(target) else None
    if added is not None and (added in ("", *_NOTHING_ADDED) or added in (f"or{target}", f"and{target}")):
        return True
    values = targets_and_values(statement)[1]
    variable = resolve(statement.tree).of.get(values[0]) if len(values) == 1 else None
    if (
        variable is None
        or variable.writes
        or variable.value is None
        or variable.value.end - variable.value.start > _MAX_TEXT
    ):
        return False
    return target == _unwrapped("".join(variable.value.text.split()))  # local old = a.b; a.b = old


def _unwrapped(text: str) -> str:
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    return text


@fact
def overwritten(tree: Tree) -> frozenset[Node]:
    """Assignments to a place that the next statement sets anew, without looking at it."""
    found = set()
    for block in tree.of("block", "chunk"):
        for first, second in zip(block.children, block.children[1:], strict=False):
            if first.type == second.type == "assignment_statement" and second.end - second.start <= _MAX_TEXT:
                (target, *others), (again, *_) = (targets_and_values(node)[0] or [None] for node in (first, second))
                if target is None or again is None or others or target.end - target.start != again.end - again.start:
                    continue
                if target.text == again.text and target.text not in second.text[again.end - second.start :]:
                    found.add(first)
    return frozenset(found)


def is_unseen(call: Node, loose: frozenset[Variable]) -> bool:
    """Whether a method is called on, or told of, what the game never sees, such as a tween that is never played.

    >>> from luau_rft.luau.tree import parse
    >>> tree = parse("local t = Tweens:Create(a, b, c) t:Pause() t:Cancel() Debris:AddItem(Instance.new('Part'))")
    >>> [is_unseen(call, frozenset()) for call in tree.root.children[1:]]
    [True, True, True]
    """
    called = method(call)
    if called != "AddItem" and called not in _LOOSE_METHODS and called not in _TWEEN_METHODS:
        return False
    of = resolve(call.tree).of
    if called == "AddItem":
        given = arguments(call)
        return bool(given) and (is_new(given[0]) or of.get(given[0]) in loose)
    owner = call.get("name").get("table")
    if owner is None:
        return False
    if is_new(owner):
        return called in _LOOSE_METHODS
    if called not in _TWEEN_METHODS:
        return False
    variable = of.get(owner)
    if variable is not None and (variable.value is None or variable.writes):
        return False
    made = strip(variable.value if variable is not None else owner)
    if not _is_tween(made):
        return False
    target = arguments(made)[0]
    is_played = called == "Play" or (variable is not None and any(map(_may_play, variable.reads)))
    return not is_played or is_new(target) or of.get(target) in loose


def is_new(expression: Node) -> bool:
    """``Instance.new("Part")``, without a parent."""
    return callee(expression) == "Instance.new" and len(arguments(expression)) == 1


def _is_tween(made: Node) -> bool:
    return method(made) == "Create" and len(arguments(made)) == _TWEEN_ARGUMENTS


def _may_play(read: Node) -> bool:
    above = read.parent
    if read.field != "table" or above is None or above.type != "method_index_expression" or above.parent is None:
        return True
    return method(above.parent) == "Play"


@fact
def notes(tree: Tree) -> frozenset[Node]:
    """Constant attributes and tags that a fixed part of the game is given once, as the script starts.

    Other scripts may read them, but they say nothing that these could not know.

    >>> from luau_rft.luau.tree import parse
    >>> tree = parse("workspace:SetAttribute('Ready', true) workspace:SetAttribute('Players', count)")
    >>> [node.text for node in notes(tree)]
    ["workspace:SetAttribute('Ready', true)"]
    """
    return frozenset(call for call in tree.method_calls(*sorted(_NOTES)) if _is_note(call) and _runs_at_start(call))


def _is_note(call: Node) -> bool:
    owner, given = call.get("name").get("table"), list(arguments(call))
    if method(call) != "SetAttribute" and len(given) > 1:  # CollectionService:AddTag(instance, tag)
        owner = given.pop(0)
    return owner is not None and all(map(is_constant, given)) and _is_fixed(owner)


def _is_fixed(expression: Node) -> bool:
    """Whether an expression starts from ``game``, ``workspace`` or ``script``."""
    of = resolve(expression.tree).of
    for _ in range(_MAX_HOPS):
        root = root_name(strip(expression))
        if root is None:
            return False
        variable = of.get(root)
        if variable is None:
            return root.text in _GAME
        if variable.kind != "local" or variable.value is None or variable.writes:
            return False
        expression = variable.value
    return False


def _runs_at_start(node: Node) -> bool:
    """Whether a node runs once, when the script starts: at the top, or in functions that are called from there."""
    of = resolve(node.tree).of
    for _ in range(_MAX_HOPS):
        function = None
        for above in node.ancestors():
            if above.type in _REPEATED or (above.type == "for_statement" and _is_generic(above)):
                return False
            if above.type in FUNCTIONS:
                function = above
                break
        if function is None:
            return True
        name = function.get("name")
        variable = of.get(name) if name is not None else None
        reads = variable.reads if variable is not None else []
        call = reads[0] if len(reads) == 1 else function if name is None else None
        while call is not None and call.parent is not None and call.parent.type == "parenthesized_expression":
            call = call.parent
        above = call.parent if call is not None else None
        if above is None:
            return False
        is_told = above.type == "arguments" and above.parent is not None and callee(above.parent) in WRAPPERS
        if not is_told and not (above.type == "function_call" and call.field == "name"):
            return False
        node = above
    return False


def _is_generic(loop: Node) -> bool:
    clause = loop.get("clause")
    return clause is not None and clause.type == "for_generic_clause"


@fact
def loose_instances(tree: Tree) -> frozenset[Variable]:
    """The locals that hold a new instance which the game never sees: without a parent, or destroyed at once.

    >>> from luau_rft.luau.tree import parse
    >>> tree = parse("local a = Instance.new('Part') a.Name = 'x' local b = Instance.new('Part') b.Parent = workspace")
    >>> [variable.name for variable in loose_instances(tree)]
    ['a']
    """
    made = {call for call in tree.calls("Instance.new") if len(arguments(call)) < 2}
    made.update(tree.method_calls("Clone"))
    variables = [v for v in resolve(tree).variables if v.value in made and not v.writes] if made else []
    held: dict[Variable, list[Variable]] = {}  # the instances that each is put into
    loose = set(variables)
    of = resolve(tree).of
    for variable in variables:
        parents = [] if _is_destroyed_at_once(variable) else [_parent(read, of, loose) for read in variable.reads]
        held[variable] = [parent for parent in parents if isinstance(parent, Variable)]
        if True in parents:
            loose.discard(variable)
    settled = -1
    while settled != len(loose):
        settled = len(loose)
        loose -= {variable for variable in loose if any(parent not in loose for parent in held[variable])}
    return frozenset(loose)


def _parent(read: Node, of: dict[Node, Variable], made: set[Variable]) -> "bool | Variable":
    """What one mention of an instance brings: True if the game sees it, or another new instance that it is put into."""
    above = read.parent
    if above is None:
        return True
    if read.field == "table" and above.type == "method_index_expression":
        name = above.get("method")
        if name is None or name.text.endswith("Signal"):
            return True
        return name.text not in _LOOSE_METHODS and not name.text.startswith(_GETTERS)
    if read.field == "table" and above.type == "dot_index_expression":
        name = above.get("field")
        if above.parent is None or above.parent.type != "variable_list":
            is_asked = above.parent is not None and above.parent.type == "method_index_expression"
            return (is_asked or (name is not None and name.text == "Event")) and not _is_ignored(above)
        return _given(above, of, made) if name is not None and name.text == "Parent" else False
    if above.type == "arguments" and above.parent is not None:
        return callee(above.parent) not in SILENT_CALLS and not _only_plans(above.parent)
    if above.type == "expression_list" and above.parent is not None and above.parent.type == "assignment_statement":
        targets = targets_and_values(above.parent)[0]
        return not (len(targets) == 1 and of.get(targets[0].get("table")) in made)
    return True


def _is_ignored(signal: Node) -> bool:
    """``bindable.Event:Connect(function() end)``."""
    call = signal.parent.parent if signal.parent is not None else None
    given = arguments(call) if call is not None and call.type == "function_call" else []
    return bool(given) and given[0].type == "function_definition" and given[0].get("body") is None


def _only_plans(call: Node) -> bool:
    """Whether a call says what is to become of an instance, without putting it into the game."""
    return method(call) == "AddItem" or _is_tween(call)


def _given(target: Node, of: dict[Node, Variable], made: set[Variable]) -> "bool | Variable":
    """What ``target``, the Parent of a new instance, is set to: True if it is no new instance itself."""
    targets, values = targets_and_values(target.parent.parent)
    value = values[targets.index(target)] if target in targets[: len(values)] else None
    if value is None or value.type == "nil" or is_new(value):
        return value is None
    variable = of.get(value)
    return variable if variable in made else True


def _is_destroyed_at_once(variable: Variable) -> bool:
    statement = next((above for above in variable.node.ancestors() if above.is_statement), None)
    block = statement.parent if statement is not None else None
    destroys = {
        read.parent.parent
        for read in variable.reads
        if read.parent.type == "method_index_expression" and method(read.parent.parent) in ("Destroy", "Remove")
    }
    if block is None or not any(call.parent is block for call in destroys):
        return False
    for following in block.children[block.children.index(statement) + 1 :]:
        if following in destroys:
            return True
        if following.type not in _SETS and not (following.type == "function_call" and _is_instant(following, variable)):
            return False
    return False


def _is_instant(call: Node, variable: Variable) -> bool:
    name = callee(call)
    if name in ("wait", "task.wait") or method(call) == "Wait":
        return False
    return is_silent(call, name) or root_name(strip(call)) in variable.reads
