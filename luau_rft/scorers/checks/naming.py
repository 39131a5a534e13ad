"""Names and types tell what a thing is."""

import re
from collections.abc import Iterator

from luau_rft.luau.scopes import Variable, resolve
from luau_rft.luau.substance import living
from luau_rft.luau.tree import Node, Tree, callee, method, root_name, strip
from luau_rft.scorers.base import Hit


def name_style(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A local variable is not in camelCase; services, modules, classes and constants have forms of their own.

    Bad:
        local spawn_point = workspace.Spawn
        spawn_point.Name = "Start"
    Good:
        local spawnPoint = workspace.Spawn
        spawnPoint.Name = "Start"
    """
    for variable in resolve(tree).variables:
        name = variable.name.strip("_")
        if not name or (name[0].islower() and "_" not in name):
            continue
        is_constant = name.upper() == name
        if "_" in name and not is_constant:
            yield variable.node, f"`{variable.name}`: write it in camelCase"
        elif name[0].isupper() and not is_constant and not _may_be_pascal(variable):
            yield (
                variable.node,
                f"`{variable.name}`: variables are written in camelCase, classes and services in PascalCase",
            )


_MAX_HOPS = 4  # from a local to the module that its value comes from


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
    is_found = method(value) in ("GetService", "WaitForChild", "FindFirstChild")
    return is_found or callee(value) == "setmetatable" or _comes_from_module(value)


def _comes_from_module(value: Node) -> bool:
    """Whether a module makes the value, as in ``Knit.CreateService({})``: it may well be a class or a service."""
    for _ in range(_MAX_HOPS):
        root = root_name(value)
        if root is None:
            return False
        variable = resolve(value.tree).of.get(root)
        if variable is None:
            return root.text == "require"
        if variable.value is None or variable.writes:
            return False
        value = variable.value
    return False


_MEANINGLESS = re.compile(r"(?:foo|bar|baz|tmp|temp|thing|stuff|var|test|obj|val|data|value|str|num)\d+|foo|baz|stuff")
_COMMON_LETTERS = frozenset("abcijknrstuvxyzXYZKTVM")
SHORT_LIFE, LONG_LIFE = 10, 40  # lines between the declaration of a name and its last use


def unclear_name(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A name means nothing, or has one letter and is still used many lines further down.

    Bad:
        local foo = workspace.Name
        workspace:SetAttribute("Title", foo)
    Good:
        for _, p in workspace:GetChildren() do
            p:Destroy()
        end
    """
    for variable in resolve(tree).variables:
        name = variable.name
        if (len(name) == 1 and _lives_long(variable)) or _MEANINGLESS.fullmatch(name):
            yield variable.node, f"`{name}` says nothing: name what it holds"


def _lives_long(variable: Variable) -> bool:
    if variable.name == "_" or variable.kind in ("parameter", "loop") or not variable.reads:
        return False
    value = variable.value
    if value is not None and (value.type == "dot_index_expression" or callee(value) == "require"):
        return False  # a short name for a library or a part of it
    life = max(node.line for node in variable.reads) - variable.node.line
    return life > (LONG_LIFE if variable.name in _COMMON_LETTERS else SHORT_LIFE)


def no_strict(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The script does not start with ``--!strict``.

    Bad:
        workspace.Name = "Arena"
    Good:
        --!strict
        workspace.Name = "Arena"
    """
    first_code = tree.root.children[0].start if tree.root.children else len(tree.data)
    directives = (node for node in tree.comments if node.start < first_code and node.end - node.start < 20)
    if not any(node.text.strip() == "--!strict" for node in directives):
        yield 1, "start the script with --!strict"


def untyped(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """More than half of the parameters of named functions in use have no type; callbacks get theirs from their caller.

    Bad:
        local function open(door, seconds)
            door:SetAttribute("Open", seconds)
        end
        open(workspace.Door, 3)
    Good:
        local function open(door: BasePart, seconds: number)
            door:SetAttribute("Open", seconds)
        end
        open(workspace.Door, 3)
    """
    alive = living(tree)
    lists = (function.get("parameters") for function in tree.of("function_declaration") if function in alive)
    parameters = [part for part in lists if part is not None for part in part.children]
    typed = sum(part.typed for part in parameters)
    if parameters and 2 * typed < len(parameters):
        yield parameters[0], "declare what type each parameter has"
