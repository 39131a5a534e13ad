"""Finds values that may be nil and are used before anything made sure that they are not."""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cache

from luau_rft.luau.guards import Subject, fails_on_nil, known_at
from luau_rft.luau.scopes import Variable, function_of, resolve, targets_and_values
from luau_rft.luau.tree import Node, Tree, arguments, callee, fact, last_name, method, root_name, strip
from luau_rft.roblox.api import database
from luau_rft.roblox.infer import CONNECTING, infer
from luau_rft.scorers.base import Hit

# Properties that are nil at times in every game: nobody sits, nobody has spawned, no part was chosen.
_PROPERTIES = frozenset({"Character", "Occupant", "PrimaryPart", "RootPart", "SeatPart"})
# And those whose names mean it only on an instance of a known class.
_PROPERTIES_OF_CLASSES = frozenset({"RespawnLocation", "SelectedObject", "Target", "Team", "TextSource", "WalkToPart"})
_NAMES = _PROPERTIES | _PROPERTIES_OF_CLASSES
# Whoever asks for strict types has to check the parent of what a function is given, too; others seldom do.
_STRICT = re.compile(r"^--!strict\b", re.MULTILINE)
_MENTION = re.compile(rf"\.\s*(?:{'|'.join(sorted(_NAMES))})\b")
_CHILDREN = frozenset({"Humanoid", "HumanoidRootPart"})
_LOOKING = (
    "FindFirstChild",
    "FindFirstChildOfClass",
    "FindFirstChildWhichIsA",
    "GetPlayerFromCharacter",
    "WaitForChild",
)
_MAX_WRITES = 3  # of a variable, that its value is followed beyond; keeps hostile programs from taking quadratic time
_MAX_READS = 20  # of the name of a function, that are looked at
_EXPRESSIONS = frozenset({"parenthesized_expression", "cast_expression"})


def nil_index(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A value that is nil at times is indexed, called or reckoned with before a check.

    Such are the results of FindFirstChild and its like, GetAttribute, Raycast, WaitForChild with a timeout, and
    properties such as Character and PrimaryPart.

    Bad:
        local door = workspace:FindFirstChild("Door")
        door.Transparency = 1
    Good:
        local door = workspace:FindFirstChild("Door")
        if door then
            door.Transparency = 1
        end
    Bad:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            print(player:GetAttribute("Coins") + 1)
        end)
    Good:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            print((player:GetAttribute("Coins") or 0) + 1)
        end)
    """
    for node in _Flow(tree).unchecked():
        text = node.text if node.end - node.start <= 40 else f"{node.text[:37]}..."
        yield node, f"`{' '.join(text.split())}` may be nil here: check it before using it"


def assumed_child(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A Humanoid is read with a dot from what touched a part, which is seldom a character.

    Bad:
        script.Parent.Touched:Connect(function(hit)
            hit.Parent.Humanoid.Health = 0
        end)
    Good:
        script.Parent.Touched:Connect(function(hit)
            local humanoid = hit.Parent:FindFirstChildOfClass("Humanoid")
            if humanoid then
                humanoid.Health = 0
            end
        end)
    """
    if not re.search(r"\.\s*Parent\s*\.\s*Humanoid|=\s*\w+\.Parent\b", tree.source):
        return
    for node in tree.of("dot_index_expression"):
        name, owner = last_name(node), node.get("table")
        if name in _CHILDREN and owner is not None and _touched(owner) and not _looked_for(node, owner):
            yield node, f"what touched may have no {name}: use FindFirstChildOfClass and check the result"


class _Flow:
    """Follows each value that may be nil from where it comes from to its uses, through locals and local functions."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.scopes = resolve(tree)
        self.sources = set(_sources(tree))
        self.nil_targets: set[Node] = set()  # names that are given such a value where they are declared or assigned
        self.groups: dict[tuple[Variable | None, str], list[Node]] = {}
        self.subjects: dict[object, Subject] = {}
        self.uses: dict[Variable, tuple[list[Node], list[int]]] = {}
        self.found: dict[tuple[Node | None, object], Node] = {}

    def unchecked(self) -> Iterable[Node]:
        """The first use in each function of each value that may be nil there."""
        pending = sorted(self.sources, key=_start, reverse=True)
        for source in pending:
            self.groups.setdefault(self._key(source), []).append(source)
        for target in _targets(self.tree) if self.groups else ():
            if (key := self._key(target)) in self.groups:
                self.groups[key].append(target)
        while pending:
            pending += self._follow(pending.pop())
        return sorted(self.found.values(), key=_start)

    def _follow(self, node: Node) -> list[Node]:
        """Look at where an expression that may be nil ends up; returns the expressions that may be nil for that."""
        value = _carrier(node)
        if value is None:
            return []
        fails = fails_on_nil(value)
        heir = None if fails else _heir(value)
        if not fails and heir is None:
            return []
        variable = self.scopes.of.get(node)
        known = known_at(node, self._subject(node, variable))
        if known is True or (known is None and variable is not None):
            return []
        if fails:
            place = (function_of(node), variable or self._key(node))
            if place not in self.found or node.start < self.found[place].start:
                self.found[place] = node
            return []
        if heir.type == "return_statement":
            return self._calls(function_of(heir))
        variable = self.scopes.of.get(heir)
        if variable is None or heir in self.nil_targets:
            return []
        self.nil_targets.add(heir)
        return self._reads(variable, heir.start)

    def _reads(self, variable: Variable, start: int) -> list[Node]:
        """Where a variable is read after ``start`` and before it has often been set again, the last first."""
        if variable not in self.uses:
            reads = sorted(variable.reads, key=_start)
            self.uses[variable] = reads, sorted(write.start for write in variable.writes)
        reads, writes = self.uses[variable]
        at = bisect_right(writes, start) + _MAX_WRITES
        end = writes[at] if at < len(writes) else math.inf
        return reads[bisect_right(reads, start, key=_start) : bisect_left(reads, end, key=_start)][::-1]

    def _calls(self, function: Node | None) -> list[Node]:
        """Where a local function, which may give nil, is called."""
        name = function.get("name") if function is not None and function.type == "function_declaration" else None
        variable = self.scopes.of.get(name) if name is not None else None
        if variable is None or variable.writes:
            return []
        calls = [read.parent for read in variable.reads if read.field == "name" and read.parent.type == "function_call"]
        new = [call for call in calls if call not in self.sources]
        for call in new:
            self.sources.add(call)
            self.groups.setdefault(self._key(call), []).append(call)
        return new

    def _key(self, node: Node) -> tuple[Variable | None, str]:
        root = root_name(node)
        return self.scopes.of.get(root) if root is not None else None, _squeezed(node)

    def _subject(self, node: Node, variable: Variable | None) -> Subject:
        key = variable or self._key(node)
        if key not in self.subjects:
            self.subjects[key] = self._variable(variable) if variable is not None else self._expression(key)
        return self.subjects[key]

    def _variable(self, variable: Variable) -> Subject:
        def there(target: Node, value: Node | None) -> bool | None:
            if target in self.nil_targets or (value is not None and strip(value).type == "nil"):
                return False
            return None if value is None else True

        return Subject([variable.node, *variable.reads, *variable.writes], there, variable.writes)

    def _expression(self, key: tuple[Variable | None, str]) -> Subject:
        nodes = list(self.groups[key])
        for node in self.groups[key]:
            heir = _heir(node)
            alias = self.scopes.of.get(heir) if heir is not None else None
            if alias is not None and not alias.writes and alias.value is not None and strip(alias.value) is node:
                nodes += alias.reads
        text = key[1]
        owner = text.removesuffix(".Character")
        calls = self.tree.method_calls("Wait", "LoadCharacter", "LoadCharacterAsync") if owner != text else []
        makers = [call for call in calls if _receiver(call) in (owner, f"{owner}.CharacterAdded")]

        def there(target: Node, value: Node | None) -> bool | None:
            return value is not None and strip(value).type != "nil" and strip(value) not in self.sources

        return Subject(nodes, there, [node for node in nodes if node.parent.type == "variable_list"], makers)


def _sources(tree: Tree) -> Iterator[Node]:
    """The expressions that are nil at times by themselves."""
    for call in tree.method_calls(*sorted(_methods())):
        if _may_give_nil(call):
            yield call
    for call in tree.method_calls("WaitForChild"):
        given = arguments(call)
        if len(given) > 1 and _squeezed(given[1]) != "math.huge":
            yield call
    strict = _STRICT.search(tree.source) is not None
    if strict or _MENTION.search(tree.source):
        names = _NAMES | {"Parent"} if strict else _NAMES
        for node in tree.of("dot_index_expression"):
            if last_name(node) in names and node.parent.type != "variable_list" and _is_nil_property(node):
                yield node


def _targets(tree: Tree) -> Iterator[Node]:
    """Properties that are assigned to: ``model.PrimaryPart`` in ``model.PrimaryPart = part``."""
    for node in tree.of("dot_index_expression"):
        if node.field == "name" and node.parent.type == "variable_list" and last_name(node) in _NAMES:
            yield node


@cache
def _methods() -> dict[str, bool]:
    """Names of methods whose result may be nil, and whether the name alone tells it."""
    names = {
        name: owner in ("Instance", "Players", "WorldRoot")
        for owner, entry in sorted(database().classes.items(), key=lambda item: item[0] in ("Players", "WorldRoot"))
        for name, member in entry["members"].items()
        if member.get("returns", "").endswith("?")
    }
    return names | {"GetAttribute": True}


def _may_give_nil(call: Node) -> bool:
    inference, name = infer(call.tree), call.get("name")
    owner, called = name.get("table"), method(call)
    if owner is None or called is None:
        return False
    member = inference.member_of(name)
    if called == "GetAttribute" and _is_players(owner) and _attribute(call) in _attributes_of_every_player(call.tree):
        return False
    if member is None:
        return _methods()[called] and not _is_own(owner) and inference.type_of(owner) is None
    if called == "GetAttribute":
        return not _is_set(call)
    return member.returns.endswith("?")


def _is_set(call: Node) -> bool:
    """Whether the script itself sets the attribute that it reads."""
    return (_receiver(call), _attribute(call)) in _set_attributes(call.tree)


@fact
def _set_attributes(tree: Tree) -> frozenset[tuple[str, str]]:
    """Receiver and name of the attributes that the script sets to something."""
    return frozenset((_receiver(call), _attribute(call)) for call in _setting(tree))


@fact
def _attributes_of_every_player(tree: Tree) -> frozenset[str]:
    """The attributes that a function sets which is run both for the players who join and for those already there."""
    scopes = resolve(tree)
    found = set()
    for call in _setting(tree):
        player, function = scopes.of.get(call.get("name").get("table")), function_of(call)
        is_given = player is not None and player.kind == "parameter" and function_of(player.node) is function
        name = function.get("name") if is_given and call.parent is function.get("body") else None
        variable = scopes.of.get(name) if name is not None else None
        reads = variable.reads[:_MAX_READS] if variable is not None else []
        if any(map(_runs_on_joining, reads)) and any(map(_runs_for_those_there, reads)):
            found.add(_attribute(call))
    return frozenset(found)


def _setting(tree: Tree) -> Iterator[Node]:
    """The calls that set an attribute to something."""
    for call in tree.method_calls("SetAttribute"):
        given = arguments(call)
        if len(given) > 1 and strip(given[1]).type != "nil":
            yield call


def _runs_on_joining(function: Node) -> bool:
    """Whether a function is named as the handler of PlayerAdded, or called by one at its top level."""
    place = function
    if function.field == "name" and function.parent.is_statement:
        handler = function_of(function)
        if handler is None or function.parent.parent is not handler.get("body"):
            return False
        place = handler
    call = place.parent.parent if place.parent.type == "arguments" else None
    event = call.get("name").get("table") if call is not None and method(call) in CONNECTING else None
    return event is not None and last_name(event) == "PlayerAdded"


def _runs_for_those_there(function: Node) -> bool:
    """Whether a function is named in a loop over all players, to be called or to be given to ``task.spawn``."""
    loops = (above for above in function.ancestors() if above.type == "for_statement")
    clauses = (loop.get("clause") for loop in loops)
    parts = (part for clause in clauses if clause is not None for part in clause.children)
    return any(method(value) == "GetPlayers" for part in parts for value in part.walk())


def _is_players(owner: Node) -> bool:
    """Whether a receiver is a player as far as can be told."""
    known = infer(owner.tree).type_of(owner)
    return known is None or known.owner == "Player"


def _attribute(call: Node) -> str:
    return _squeezed(arguments(call)[0]) if arguments(call) else ""


def _receiver(call: Node) -> str:
    owner = call.get("name").get("table")
    return _squeezed(owner) if owner is not None else ""


def _is_nil_property(node: Node) -> bool:
    owner, name, inference = node.get("table"), last_name(node), infer(node.tree)
    if owner is None or _in_handler_of(node, owner, name):
        return False
    if name == "Parent" and not _is_parameter(owner):
        return False
    member = inference.member_of(node)
    if member is not None:
        return member.type.endswith("?")
    return name in _PROPERTIES and inference.type_of(owner) is None and not _is_own(owner)


def _is_parameter(owner: Node) -> bool:
    variable = resolve(owner.tree).of.get(strip(owner))
    return variable is not None and variable.kind == "parameter"


def _in_handler_of(node: Node, owner: Node, name: str) -> bool:
    """Whether a character is read in a function that runs when it has come: connected to ``CharacterAdded``."""
    if name != "Character":
        return False
    event = f"{_squeezed(owner)}.CharacterAdded:"
    return any(
        above.type == "function_call" and callee(above).startswith(event) and method(above) in CONNECTING
        for above in node.ancestors()
    )


def _is_own(owner: Node) -> bool:
    """Whether a receiver is the script's own: ``self``, a module, a table, an object made by one."""
    node = strip(owner)
    variable = resolve(node.tree).of.get(node)
    if node.type != "identifier" or variable is None:
        return False
    value = strip(variable.value) if variable.value is not None else None
    if variable.name == "self":
        return True
    return value is not None and (value.type == "table_constructor" or callee(value) in ("require", "setmetatable"))


def _carrier(node: Node) -> Node | None:
    """The whole expression that is nil if ``node`` is; None where another value takes its place."""
    while (parent := node.parent) is not None:
        if parent.type == "binary_expression" and parent.operator in ("and", "or"):
            if parent.operator == "or" and node.field == "left":
                return None
        elif parent.type in ("if_expression", "elseif_clause", "else_clause"):
            if node.field == "condition":
                return None
        elif parent.type not in _EXPRESSIONS:
            break
        node = parent
    return node


def _heir(value: Node) -> Node | None:
    """What gets an expression's value: the name that is declared or assigned, or a return statement."""
    parts = value.parent
    statement = parts.parent if parts is not None and parts.type == "expression_list" else None
    if statement is None:
        return None
    if statement.type == "return_statement":
        return statement if parts.children[0] is value else None
    if statement.type != "assignment_statement":
        return None
    targets, values = targets_and_values(statement)
    at = values.index(value)
    return targets[at] if at < len(targets) and targets[at].type == "identifier" else None


def _touched(owner: Node) -> bool:
    """Whether an expression is the parent of what touched a part: ``hit.Parent``, or a local with that value."""
    scopes = resolve(owner.tree)
    variable = scopes.of.get(strip(owner))
    value = strip(variable.value) if variable is not None and variable.value is not None else strip(owner)
    part = value.get("table") if last_name(value) == "Parent" else None
    hit = scopes.of.get(part) if part is not None else None
    if hit is None or hit.kind != "parameter":
        return False
    function = function_of(hit.node)
    name = function.get("name") if function is not None else None
    handler = scopes.of.get(name) if name is not None else None
    uses = handler.reads if handler is not None else [function]
    return any(
        use is not None and use.field is None and use.parent.type == "arguments" and _is_touched(use.parent.parent)
        for use in uses
    )


def _is_touched(call: Node) -> bool:
    event = call.get("name").get("table") if method(call) in CONNECTING else None
    return event is not None and last_name(event) == "Touched"


def _looked_for(node: Node, owner: Node) -> bool:
    """Whether the script looked before, in the same function, for a child of the same receiver."""
    return _looks(node.tree).get((function_of(node), _squeezed(owner)), math.inf) < node.start


@fact
def _looks(tree: Tree) -> dict[tuple[Node | None, str], int]:
    """Where each function first looks for a child of a receiver, or asks whose character it is."""
    found: dict[tuple[Node | None, str], int] = {}
    for call in sorted(tree.method_calls(*_LOOKING, "GetPlayerFromCharacter"), key=lambda call: call.start):
        for text in (_receiver(call), *map(_squeezed, arguments(call))):
            found.setdefault((function_of(call), text), call.start)
    return found


def _start(node: Node) -> int:
    return node.start


def _squeezed(node: Node) -> str:
    return "".join(node.text.split())
