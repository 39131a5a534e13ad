"""Local variables and functions: never used, without a value, declared twice, hidden."""

from collections.abc import Iterator

from luau_rft.luau.guards import fails_on_nil
from luau_rft.luau.scopes import Variable, resolve, targets_and_values
from luau_rft.luau.tree import FUNCTIONS, LOOPS, Node, Tree, root_name
from luau_rft.scorers.base import Hit


def has_gaps(tree: Tree) -> bool:
    """Whether code was not understood, so that declarations may be missing; a gap in a type does not hide any."""
    if tree.compile_error is not None or tree.root.type == "ERROR":
        return bool(tree.errors)
    return any(error.parent is not None for error in tree.errors)


def placeholder_read(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The variable ``_`` is read, although its name says that nobody needs it.

    Bad:
        for _, _ in pairs(workspace:GetChildren()) do
            print(_)
        end
    Good:
        for _, child in pairs(workspace:GetChildren()) do
            print(child)
        end
    Like: Luau PlaceholderRead
    """
    for variable in resolve(tree).variables:
        if variable.name == "_" and variable.reads:
            yield variable.reads[0], "`_` stands for what is not needed: give the variable a name to read it"


def unused_variable(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A local variable or function that is never read; a name that starts with ``_`` says that this is meant.

    Bad:
        local coins = 5
    Bad:
        local coins = 0
        workspace.ChildAdded:Connect(function()
            coins += 1
        end)
    Bad:
        local function count(n)
            if n > 0 then
                count(n - 1)
            end
        end
    Good:
        local coins = 5
        print(coins)
    Good:
        local _unused, coins = math.modf(5.5)
        print(coins)
    Like: selene unused_variable, Luau LocalUnused, Luau FunctionUnused, Luau ImportUnused
    """
    if has_gaps(tree):
        return
    for variable in resolve(tree).variables:
        if variable.kind in ("local", "function") and not _is_used(variable, tree):
            yield variable.node, f"`{variable.name}` is never used: remove it"


def uninitialized_local(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A local variable without a value is read before it can have got one.

    Bad:
        local coins
        print(coins)
    Bad:
        local coins
        coins += 1
        print(coins)
    Good:
        local coins
        coins = 5
        print(coins)
    Bad:
        local door = nil
        door.Transparency = 1
    Like: Luau UninitializedLocal
    """
    if has_gaps(tree):
        return
    for variable in resolve(tree).variables:
        if variable.kind != "local" or not variable.reads or variable.name == "_" or _has_value(variable):
            continue
        writes = [node for node in variable.writes if not is_update(node)]
        first = variable.reads[0]
        if variable.value is not None and not fails_on_nil(first):  # a written nil may be meant
            continue
        if not writes or (first.end <= _statement_end(writes[0]) and _runs_once_after(variable.node, first)):
            yield first, f"`{variable.name}` is still nil here: give it a value first"


def duplicate_local(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """One declaration or parameter list has the same name twice, and the first value cannot be reached.

    Bad:
        local name, name = script.Name, script.ClassName
        print(name)
    Bad:
        local function add(a, a)
            return a + a
        end
        print(add(1, 2))
    Good:
        local name, class = script.Name, script.ClassName
        print(name, class)
    Like: Luau DuplicateLocal
    """
    for variable in resolve(tree).variables:
        outer = variable.shadows
        if outer is not None and variable.name != "_" and _declaration(variable) is _declaration(outer):
            yield variable.node, f"`{variable.name}` is declared twice here: give one another name"


def duplicate_function(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The same function is defined twice in one block, and the second replaces the first.

    Bad:
        local Door = {}
        function Door.open()
            print("open")
        end
        function Door.open()
            print("closed")
        end
        return Door
    Good:
        local Door = {}
        function Door.open()
            print("open")
        end
        function Door.close()
            print("closed")
        end
        return Door
    Like: Luau DuplicateFunction
    """
    first: dict[tuple[Node | None, str], Node] = {}
    for function in tree.of("function_declaration"):
        name = function.get("name")
        if name is None:
            continue
        earlier = first.setdefault((function.parent, "".join(name.text.split()).replace(":", ".")), function)
        if earlier is not function:
            yield name, f"`{name.text}` is already defined on line {earlier.line}: remove or rename one of them"


def shadowing(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A variable has the name of another one around it, which it hides; copies such as ``local x = x`` are meant.

    Bad:
        local coins = 1
        local function add(coins)
            return coins + 1
        end
        print(add(coins))
    Good:
        local coins = 1
        local function add(amount)
            return amount + 1
        end
        print(add(coins))
    Good:
        for _, name in {"a", "b"} do
            local ok, problem = pcall(print, name)
            print(ok, problem)
        end
        local ok, problem = pcall(print, "c")
        print(ok, problem)
    Like: selene shadowing, Luau LocalShadow
    """
    if has_gaps(tree):
        return
    for variable in resolve(tree).variables:
        outer = variable.shadows
        if outer is None or variable.name.startswith("_") or variable.name == "self":
            continue
        if _declaration(variable) is _declaration(outer) or _is_copy(variable):
            continue
        yield variable.node, f"`{variable.name}` hides the variable of that name on line {outer.node.line}"


def is_update(node: Node) -> bool:
    """Whether ``node`` is the target of ``+=`` or one of its kind, which needs a value to be there already."""
    parent = node.parent
    return parent is not None and parent.type == "variable_list" and parent.parent.type == "update_statement"


def _is_used(variable: Variable, tree: Tree) -> bool:
    if variable.name.startswith("_") or variable.name in tree.type_names:
        return True
    own = variable.value if variable.kind == "function" else None
    if any(not is_update(read) and (own is None or not own.start <= read.start < own.end) for read in variable.reads):
        return True
    # The first results of several may be there only to reach the later ones.
    if variable.kind == "local" and variable.node.parent is not None:
        names = variable.node.parent.all("name")
        scopes = resolve(tree)
        later = names[names.index(variable.node) + 1 :] if variable.node in names else []
        return any(scopes.of[name].reads for name in later if name in scopes.of)
    return False


def _has_value(variable: Variable) -> bool:
    """Whether a local is declared with a value that is not nil, or with a call that may give it one."""
    statement = variable.node.parent.parent if variable.node.parent is not None else None
    if variable.value is not None or statement is None or statement.type != "assignment_statement":
        return variable.value is not None and variable.value.type != "nil"
    _, values = targets_and_values(statement)
    return bool(values) and values[-1].type in ("function_call", "vararg_expression")


def _statement_end(node: Node) -> int:
    return next((above for above in node.ancestors() if above.is_statement), node).end


def _runs_once_after(declaration: Node, read: Node) -> bool:
    """Whether ``read`` runs at most once for each time that ``declaration`` does."""
    for above in read.ancestors():
        if above.start <= declaration.start:
            return True
        if above.type in FUNCTIONS or above.type in LOOPS:
            return False
    return False


def _declaration(variable: Variable) -> Node | None:
    """The list of names that a variable is declared in."""
    node = variable.node.parent
    return node.parent if node is not None and node.type == "parameter" else node


def _is_copy(variable: Variable) -> bool:
    root = root_name(variable.value) if variable.value is not None else None
    return root is not None and root.text == variable.name
