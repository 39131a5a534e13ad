"""Fields and methods of a script's own tables."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from luau_rft.luau.scopes import Variable, function_of, resolve, targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, callee, last_name, strip
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import infer
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.spelling import Spellings
from luau_rft.scorers.checks.variables import has_gaps

_SHORTEST = 3  # names of one or two letters, such as x and y, are near to too many others
_LONG = 5  # letters of a name that is not near to another by chance


def misspelt_name(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A field or method of one of the script's own tables that is set nowhere, but nearly has the name of one that is.

    Bad:
        local Door = {}
        function Door.open()
            print("open")
        end
        Door.opne()
    Bad:
        local Enemy = {}
        Enemy.__index = Enemy
        function Enemy.new()
            return setmetatable({ health = 100 }, Enemy)
        end
        function Enemy:hurt(amount)
            self.health = self.helath - amount
        end
        return Enemy
    Good:
        local Enemy = {}
        Enemy.__index = Enemy
        function Enemy.new()
            return setmetatable({ health = 100 }, Enemy)
        end
        function Enemy:hurt(amount)
            self.health = self.health - amount
        end
        return Enemy
    """
    if has_gaps(tree):
        return
    tables = _Tables(tree)
    unknown = [(owner, name, name.text) for owner, name in tables.uses if name.text not in tables.names]
    uses = Counter(text for _, _, text in unknown)
    own = {owner: Spellings(tables.fields[owner]) for owner, _, _ in unknown if owner in tables.fields}
    foreign = [text for owner, _, text in unknown if owner not in own and uses[text] == 1 and len(text) >= _LONG]
    foreign = frozenset(foreign) - _platform_names()
    # What is known of no table here may come from elsewhere and have both names.
    others = Spellings(tables.names - _platform_names() if foreign else ())
    for owner, name, text in unknown:
        if owner in own:
            near = [other for other in own[owner].near(text) if _are_confusable(text, other)]
        else:
            near = [other for other in others.near(text) if _are_unrelated(text, other)] if text in foreign else []
        if near and not _is_child(name) and not re.search(rf"[\"'`]{text}[\"'`]", tree.source):
            yield name, f"`{text}` is set nowhere: did you mean `{near[0]}`?"


def _is_child(name: Node) -> bool:
    """Whether a name is one that an instance may have given to a child."""
    found = infer(name.tree).type_of(name.parent.get("table"))
    return found is not None and found.name in database().classes


@cache
def _platform_names() -> frozenset[str]:
    """What instances and values of the platform have under any name."""
    api = database()
    owners = (*api.classes.values(), *api.datatypes.values(), *api.libraries.values())
    members = {name for owner in owners for part in ("members", "statics", "children") for name in owner.get(part, ())}
    return frozenset({*members, *api.classes, *api.enums, *(item for items in api.enums.values() for item in items)})


class _Tables:
    """The script's own tables, a class and its objects being one: ``fields`` that are set, and the other ``uses``.

    ``names`` are those of all fields that are set or typed anywhere, whatever the table.
    """

    def __init__(self, tree: Tree) -> None:
        self.names: set[str] = set(tree.type_names)
        self.fields: dict[Variable, set[str]] = {}
        self.uses: list[tuple[Variable | None, Node]] = []
        self._variables = resolve(tree).of
        self._owners: dict[Variable, Variable | None] = {}
        self._metatables: dict[Node | Variable, Node] = {}  # of constructors and variables
        for call in tree.calls("setmetatable"):
            if len(arguments(call)) == 2:
                table, metatable = map(strip, arguments(call))
                self._metatables[self._variables.get(table, table)] = metatable
        self._dynamic: set[Variable] = set()  # a function finds their fields
        owner_of = self._constructors(tree)
        for field in tree.of("field"):
            if (name := field.get("name")) is not None:
                self._define(owner_of.get(field.parent), name, field.get("value"))
        for index in tree.of("dot_index_expression", "method_index_expression"):
            self._index(index)
        self.uses = [(owner, name) for owner, name in self.uses if owner not in self._dynamic]

    def _constructors(self, tree: Tree) -> dict[Node, Variable]:
        """The owner of the fields in each constructor that is a variable's value or gets a metatable."""
        found = {}
        for variable in resolve(tree).variables:
            value = strip(variable.value) if variable.value is not None else None
            if value is not None and value.type == "table_constructor" and (owner := self._owner(variable)) is not None:
                found[value] = owner
        for table, metatable in self._metatables.items():
            if isinstance(table, Node) and (owner := self._behind(metatable)) is not None:
                found[table] = owner
        return found

    def _index(self, index: Node) -> None:
        variable, name = self._variables.get(index.get("table")), index.get("field") or index.get("method")
        if name is None:
            return
        owner = self._owner(variable) if variable is not None else None
        parent = index.parent
        if parent.type == "function_declaration":
            self._define(owner, name, parent)
        elif parent.type == "variable_list" and parent.parent.type == "assignment_statement":
            targets, values = targets_and_values(parent.parent)
            at = targets.index(index) if index in targets else len(values)
            self._define(owner, name, values[at] if at < len(values) else None)
        else:
            self.uses.append((owner, name))

    def _define(self, owner: Variable | None, name: Node, value: Node | None) -> None:
        self.names.add(name.text)
        if owner is not None:
            self.fields.setdefault(owner, set()).add(name.text)
            if name.text == "__index" and (value is None or self._behind(strip(value)) is None):
                self._dynamic.add(owner)

    def _owner(self, variable: Variable) -> Variable | None:
        """The table that a variable always holds, the class if it is an object; None where that is not known.

        A class that inherits from one that is not known is a table of its own.
        """
        path = []
        owner: Variable | None = variable
        while owner is not None and owner not in self._owners:
            self._owners[owner] = owner  # where a circle ends
            path.append(owner)
            owner = self._link(owner)
        if owner is None:
            self._owners[path.pop()] = None
        owner = self._owners[owner] if owner is not None else None
        if owner is None:
            owner = next((passed for passed in reversed(path) if passed.kind == "local"), None)
        self._owners.update(dict.fromkeys(path, owner))
        return owner

    def _link(self, variable: Variable) -> Variable | None:
        """The variable whose fields this one has, itself for a plain table."""
        if variable.kind == "parameter":
            function = function_of(variable.node) if variable.name == "self" else None
            name = function.get("name") if function is not None else None
            return self._variables.get(name.get("table")) if name is not None else None
        if variable.writes or variable.value is None:
            return None
        value = strip(variable.value)
        metatable = self._metatables.get(variable)
        if metatable is not None:
            return self._behind(metatable)
        if value.type == "table_constructor":
            return self._behind(value) or variable
        if value.type != "function_call":
            return None
        if callee(value) == "setmetatable" and len(arguments(value)) == 2:
            return self._behind(strip(arguments(value)[1]))
        name = value.get("name")
        is_object = name.type == "dot_index_expression" and last_name(name) == "new"
        return self._variables.get(name.get("table")) if is_object else None

    def _behind(self, metatable: Node) -> Variable | None:
        """The variable that holds the fields of the objects with this metatable."""
        if metatable.type == "table_constructor":
            index = next((field for field in metatable.children if _text(field.get("name")) == "__index"), None)
            return self._variables.get(index.get("value")) if index is not None else None
        return self._variables.get(metatable)


def _text(node: Node | None) -> str:
    return node.text if node is not None else ""


def _are_confusable(name: str, other: str) -> bool:
    """Whether two names that are a slip apart are not two of a kind: one and many, numbered, or getter and setter."""
    if min(len(name), len(other)) < _SHORTEST or name + "s" == other or other + "s" == name:
        return False
    if {name[:3].lower(), other[:3].lower()} == {"get", "set"}:
        return False
    is_numbered = name[:-1] == other[:-1] and name[-1].isupper() and other[-1].isupper()  # leftX and leftY
    return not is_numbered and not any(character.isdigit() for character in name + other)


def _are_unrelated(name: str, other: str) -> bool:
    """Whether nobody would have chosen both names: they differ inside, in more than case and underscores."""
    plain, plain_other = (text.lower().replace("_", "").removesuffix("s") for text in (name, other))
    return plain != plain_other and plain[:1] == plain_other[:1] and _are_confusable(name, other)
