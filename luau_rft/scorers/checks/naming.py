"""Names and types tell what a thing is."""

import re
from collections.abc import Iterator

from luau_rft.luau.scopes import Variable, resolve
from luau_rft.luau.tree import Tree, callee, method, strip
from luau_rft.scorers.base import Hit

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.


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


def unclear_name(tree: Tree, kind: str | None) -> Iterator[Hit]:
    for variable in resolve(tree).variables:
        name = variable.name
        if (len(name) == 1 and name not in _COMMON_LETTERS and name != "_") or _MEANINGLESS.fullmatch(name):
            yield variable.node, f"`{name}` says nothing: name what it holds"


def no_strict(tree: Tree, kind: str | None) -> Iterator[Hit]:
    first_code = tree.root.children[0].start if tree.root.children else len(tree.data)
    if not any(node.text.strip() == "--!strict" for node in tree.comments if node.start < first_code):
        yield 1, "start the script with --!strict"


def untyped(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Half of the named functions' parameters is enough: types of callbacks follow from what they are given to."""
    lists = (function.get("parameters") for function in tree.of("function_declaration"))
    parameters = [part for part in lists if part is not None for part in part.children]
    typed = sum(part.typed for part in parameters)
    if parameters and 2 * typed < len(parameters):
        yield parameters[0], "declare what type each parameter has"
