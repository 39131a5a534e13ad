"""Will it break when it runs? Calls that can fail, values that can be nil, loops that hang, names that mean nothing."""

from collections.abc import Iterator
from functools import cache, lru_cache

from luau_rft.luau import flow
from luau_rft.luau.scopes import Variable, resolve, targets_and_values
from luau_rft.luau.substance import statement_of
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, callee, method, root_name, strip
from luau_rft.roblox.api import database
from luau_rft.scorers import nils
from luau_rft.scorers.base import Hit, Rule, Rules, Score

RULES = Rules(
    "bugs",
    {
        "unprotected-call": Rule(0.2, 0.4, "Calls to distant services fail at times and then end the thread."),
        "ignored-pcall": Rule(0.1, 0.2, "A pcall whose result nobody reads hides the failure."),
        "empty-pcall": Rule(0.1, 0.2, "A pcall around nothing protects nothing."),
        "nil-index": Rule(
            0.15, 0.45, "FindFirstChild, Character and their like are nil at times; indexing nil is an error."
        ),
        "endless-loop": Rule(0.5, 0.5, "A loop that never yields freezes the game until the script is ended."),
        "undefined-global": Rule(0.2, 0.6, "A name that is defined nowhere is nil."),
        "global-variable": Rule(0.05, 0.15, "A global outlives its block and is slower than a local."),
        "unused-variable": Rule(0.04, 0.16, "What is never read is a leftover or a typing error."),
        "shadowing": Rule(0.02, 0.06, "Two variables of one name: the wrong one is easily taken."),
        "unreachable-code": Rule(0.15, 0.3, "Code that can never run is a mistake in what comes before it."),
    },
)

_PROTECTED_CALLS = frozenset({"pcall", "xpcall", "ypcall", "Promise.try", "Promise.new", "Promise.defer"})
_RARELY_FAILING = frozenset({"LoadCharacter", "LoadCharacterAsync", "loadCharacter", "WaitForDataReady"})
_YIELDING = frozenset({"wait", "task.wait", "coroutine.yield", "Wait"})


def score(source: str, kind: str | None = None) -> Score:
    """1 less the penalties of what will break.

    >>> [finding.rule for finding in score("while true do workspace.Name = 'x' end").findings]
    ['endless-loop']
    """
    return RULES.score(source, kind)


@RULES.check
def unprotected_call(tree: Tree, kind: str | None) -> Iterator[Hit]:
    protected = _protected_functions(tree)
    for call in tree.of("function_call"):
        if _can_fail(call) and not any(above in protected for above in call.ancestors()):
            yield call, f"{method(call)} fails when the service is down: call it inside pcall and handle the failure"


@RULES.check
def ignored_pcall(tree: Tree, kind: str | None) -> Iterator[Hit]:
    scopes = resolve(tree)
    for call in tree.of("function_call"):
        if callee(call) != "pcall" or not any(_can_fail(node) or _is_failing_method(node) for node in call.walk()):
            continue
        statement = statement_of(call)
        if statement is call:
            yield call, "the result of this pcall is dropped: read `success` and handle the failure"
        elif statement is not None and statement.type == "variable_declaration":
            names, values = targets_and_values(statement)
            success = scopes.of.get(names[0]) if values and strip(values[0]) is call else None
            if success is not None and not success.reads:
                yield names[0], f"`{success.name}` is never read: a failure goes unnoticed"


@RULES.check
def empty_pcall(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for call in tree.of("function_call"):
        if callee(call) in ("pcall", "xpcall") and arguments(call):
            body = strip(arguments(call)[0])
            if body.type == "function_definition" and not any(node.is_statement for node in body.walk()):
                yield call, "this pcall holds no code"


@RULES.check
def nil_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, text in nils.unchecked(tree):
        yield node, f"`{text}` may be nil here: check it before indexing it"


@RULES.check
def endless_loop(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for loop in tree.of("while_statement", "repeat_statement"):
        if any(flow.leaves(loop)) or _may_yield(loop, set()):
            continue
        if flow.runs_forever(loop) or _only_waits(loop):
            yield loop, "this loop never yields: add task.wait() or connect to an event instead"


@RULES.check
def undefined_global(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    scopes = resolve(tree)
    defined = {node.text for node in scopes.global_writes}
    seen = set()
    for node in scopes.global_reads:
        name = node.text
        if name not in defined and name not in seen and not _is_known(name):
            seen.add(name)
            yield node, f"`{name}` is defined nowhere{_FOREIGN_NAMES.get(name, '')}"


@RULES.check
def global_variable(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    seen = set()
    for node in resolve(tree).global_writes:
        if node.text not in seen:
            seen.add(node.text)
            yield node, f"`{node.text}` is a global: declare it with `local`"


@RULES.check
def unused_variable(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    for variable in resolve(tree).variables:
        if variable.kind in ("local", "function") and not _is_used(variable, tree):
            yield variable.node, f"`{variable.name}` is never used: remove it"


@RULES.check
def shadowing(tree: Tree, kind: str | None) -> Iterator[Hit]:
    if tree.errors:
        return
    for variable in resolve(tree).variables:
        outer = variable.shadows
        if outer is None or variable.name.startswith("_") or variable.name == "self":
            continue
        is_copy = variable.value is not None and variable.value.text.startswith(variable.name)
        if not is_copy:
            yield variable.node, f"`{variable.name}` hides the variable of that name on line {outer.node.line}"


@RULES.check
def unreachable_code(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for node, why in flow.unreachable(tree):
        yield node, f"this never runs: {why}"


@cache
def _failing_methods() -> frozenset[str]:
    """The methods that ask a distant service, by name: what an expression is an instance of is not known."""
    members = (entry["members"].items() for entry in database().classes.values())
    return frozenset(name for items in members for name, entry in items if entry.get("fails")) - _RARELY_FAILING


def _can_fail(call: Node) -> bool:
    if call.type != "function_call" or method(call) not in _failing_methods():
        return False
    root = root_name(call)
    variable = resolve(call.tree).of.get(root) if root is not None else None
    value = strip(variable.value) if variable is not None and variable.value is not None else None
    # A module or a table of the script's own may use these names as it likes.
    own = value is not None and (value.type == "table_constructor" or callee(value) in ("require", "setmetatable"))
    return not own


def _is_failing_method(node: Node) -> bool:
    """Whether a node names a failing method without calling it, as in ``pcall(store.GetAsync, store, key)``."""
    field = node.get("field") if node.type == "dot_index_expression" else None
    return field is not None and field.text in _failing_methods()


@lru_cache(maxsize=4)
def _protected_functions(tree: Tree) -> frozenset[Node]:
    """The functions that run inside a pcall: given to it, or called by one that is."""
    scopes = resolve(tree)
    by_name: dict[str, list[Node]] = {}
    for function in tree.of("function_declaration"):
        if (name := function.get("name")) is not None:
            by_name.setdefault(_last_name(name), []).append(function)
    for variable in scopes.variables:
        if variable.value is not None and variable.value.type == "function_definition":
            by_name.setdefault(variable.name, []).append(variable.value)

    protected: set[Node] = set()
    pending: list[Node] = []
    for call in tree.of("function_call"):
        if callee(call) in _PROTECTED_CALLS:
            pending += arguments(call)[:1]
    while pending:
        node = strip(pending.pop())
        functions = [node] if node.type in FUNCTIONS else by_name.get(_last_name(node), [])
        for function in functions:
            if function not in protected:
                protected.add(function)
                pending += [call.get("name") for call in flow.own_nodes(function) if call.type == "function_call"]
    return frozenset(protected)


def _last_name(node: Node | None) -> str:
    """``c`` of ``a.b.c`` and of ``a.b:c``."""
    if node is None:
        return ""
    last = node.get("field") or node.get("method") or node
    return last.text if last.type == "identifier" else ""


def _may_yield(part: Node, seen: set[Node]) -> bool:
    """Whether running ``part`` can give way to other threads; unknown functions of other modules are assumed to."""
    scopes = resolve(part.tree)
    pending = [part]
    while pending:
        for node in flow.own_nodes(pending.pop()):
            if node.type != "function_call":
                continue
            called = method(node)
            if callee(node) in _YIELDING or called in _YIELDING or called in _yielding_methods():
                return True
            name = node.get("name")
            variable = scopes.of.get(root_name(node)) if name is not None else None
            if variable is None or (called is not None and variable.name != "self"):
                continue
            body = variable.value if name.type == "identifier" else _method_of(part.tree, _last_name(name))
            if body is not None and body.type in FUNCTIONS:
                if body not in seen:
                    seen.add(body)
                    pending.append(body)
            elif name.type == "identifier" or body is None:
                return True
    return False


@cache
def _yielding_methods() -> frozenset[str]:
    members = (entry["members"].items() for entry in database().classes.values())
    return frozenset(name for items in members for name, entry in items if entry.get("yields"))


def _method_of(tree: Tree, name: str) -> Node | None:
    declarations = (node for node in tree.of("function_declaration") if _last_name(node.get("name")) == name)
    return next(declarations, None)


def _only_waits(loop: Node) -> bool:
    """Whether a loop without a body looks at something that cannot change while it looks."""
    condition, body = loop.get("condition"), loop.get("body")
    if condition is None or flow.constant(condition) is not None or (body is not None and body.children):
        return False
    calls = (node for node in condition.walk() if node.type == "function_call")
    return all((method(call) or "").startswith(("Find", "Get", "Is")) for call in calls)


@cache
def _is_known(name: str) -> bool:
    api = database()
    return name in api.globals or api.has_statics(name) or name in ("Enum", "typeof")


_FOREIGN_NAMES = {
    "None": ": write nil",
    "null": ": write nil",
    "undefined": ": write nil",
    "True": ": write true",
    "False": ": write false",
    "this": ": write self, inside a function declared with a colon",
    "console": ": write print(...)",
    "len": ": write #value",
    "str": ": write tostring(value)",
    "int": ": write math.floor(value) or tonumber(text)",
    "range": ": write for i = first, last do",
    "self": ": it exists only in functions declared with a colon",
    "player": ": a server script gets players from Players.PlayerAdded, a LocalScript from Players.LocalPlayer",
}


def _is_used(variable: Variable, tree: Tree) -> bool:
    if variable.reads or variable.name.startswith("_") or variable.name in tree.type_names:
        return True
    # The first results of several may be there only to reach the later ones.
    if variable.kind == "local" and variable.node.parent is not None:
        names = variable.node.parent.all("name")
        scopes = resolve(tree)
        later = names[names.index(variable.node) + 1 :] if variable.node in names else []
        return any(scopes.of[name].reads for name in later if name in scopes.of)
    return False
