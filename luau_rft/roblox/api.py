"""The Roblox API as data: classes, members, enums, datatypes, libraries and globals.

``api.json`` beside this file is generated (see ``generate.py``) and laid out so; flags are there only when true:

    source      package, version, license of the definitions it was made from
    classes     NAME: superclass      name, or null for Object, the root
                      creatable       Instance.new(NAME) works
                      service         game:GetService(NAME) works
                      plugin          for plugins and the command bar only
                      deprecated      what to use instead, "" where nothing replaces it
                      side            "client" or "server" where it is of use on that side alone
                      children        NAME: class of what the platform puts into each instance
                      defaults        PROPERTY: value of a fresh instance; holds for subclasses that do not override it
                      members         NAME: member, those of superclasses not repeated
    enums       NAME: ITEM: value
    enum_aliases NAME: OLD: ITEM     old names of items that still work
    datatypes   NAME: members         NAME: member, read from a value: v.Magnitude, v:Dot(w)
                      statics         NAME: member, read from the name: Vector3.new, Vector3.zero
    libraries   NAME: members         NAME: member, read with a dot: task.wait, math.pi, Instance.new
    globals     NAME: member

    member      kind            "property", "method" (called with a colon), "event", "callback" (set by the script) or
                                "function" (called with a dot)
                type            of a property
                readonly        a script cannot set the property
                params          of all other kinds: [name, type] each; optional where the type ends in "?", and
                                ["...", "any"] takes any number. Of events: what a listener gets
                returns         absent where nothing is returned
                counts          argument counts, where not every count between fewest and most is allowed
                yields, fails   the call yields; it asks a distant service and can raise an error any time
                deprecated, plugin, side    as for classes

    type        number string boolean nil any table function thread buffer, a class, a datatype, Enum.NAME,
                {ELEMENT} for arrays, (A, B) for several results; "?" at the end where it may be nil

A default is written as JSON: the arguments of TYPE.new in a list for datatypes (of Color3.fromRGB for Color3, and for
ColorSequence, which has that one colour), the item's name for enums, the name for BrickColor. What has no default
written is zero of its type: 0, "", false, nil, TYPE.new(), the enum's first item.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("api.json")


@dataclass(frozen=True, slots=True)
class Member:
    """One member, global or library function; the fields are told in this module's docstring.

    ``owner`` is the class, datatype or library that declares it, "" for globals.
    """

    name: str
    owner: str
    kind: str
    type: str = "any"
    params: tuple[tuple[str, str], ...] = ()
    returns: str = "()"
    counts: tuple[int, ...] = ()
    readonly: bool = False
    yields: bool = False
    fails: bool = False
    plugin: bool = False
    deprecated: str | None = None
    side: str | None = None

    @property
    def arity(self) -> tuple[int, int | None]:
        """Fewest and most arguments, the receiver not counted; None where there is no most."""
        names = [name for name, _ in self.params]
        required = [
            at for at, (name, kind) in enumerate(self.params, start=1) if name != "..." and not kind.endswith("?")
        ]
        return max(required, default=0), None if "..." in names else len(names)

    def accepts(self, count: int) -> bool:
        """Whether it can be called with ``count`` arguments."""
        least, most = self.arity
        return count in self.counts if self.counts else least <= count and (most is None or count <= most)


class Database:
    """Look-ups over the content of ``api.json``, whose sections are attributes of the same names."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.source: dict[str, str] = content["source"]
        self.classes: dict[str, dict[str, Any]] = content["classes"]
        self.enums: dict[str, dict[str, int]] = content["enums"]
        self.enum_aliases: dict[str, dict[str, str]] = content["enum_aliases"]
        self.datatypes: dict[str, dict[str, Any]] = content["datatypes"]
        self.libraries: dict[str, dict[str, Any]] = content["libraries"]
        self.globals: dict[str, dict[str, Any]] = content["globals"]

    def service(self, name: str) -> bool:
        """Whether ``game:GetService(name)`` works."""
        return bool(self.classes.get(name, {}).get("service"))

    def creatable(self, name: str) -> bool:
        """Whether ``Instance.new(name)`` works."""
        return bool(self.classes.get(name, {}).get("creatable"))

    def ancestry(self, name: str) -> Iterator[str]:
        """The class itself and its superclasses, up to Object; nothing for an unknown name.

        >>> list(database().ancestry("Folder"))
        ['Folder', 'Instance', 'Object']
        """
        current: str | None = name
        while current in self.classes:
            yield current
            current = self.classes[current]["superclass"]

    def is_a(self, name: str, ancestor: str) -> bool:
        """Whether class ``name`` is ``ancestor`` or inherits from it."""
        return ancestor in self._ancestors.get(name, ())

    @cached_property
    def _ancestors(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(self.ancestry(name)) for name in self.classes}

    @lru_cache(maxsize=4096)  # noqa: B019  one database lives as long as the process
    def member(self, owner: str, name: str) -> Member | None:
        """A member of a class (inherited ones too) or of a datatype's values, or None.

        >>> database().member("Part", "Destroy").owner
        'Instance'
        """
        for current in self.ancestry(owner):
            if name in self.classes[current]["members"]:
                return _member(name, current, self.classes[current]["members"][name])
        if name in self.datatypes.get(owner, {}).get("members", ()):
            return _member(name, owner, self.datatypes[owner]["members"][name])
        return None

    @lru_cache(maxsize=4096)  # noqa: B019
    def below(self, owner: str, name: str) -> list[Member]:
        """The members of that name that subclasses of ``owner`` declare, in the order of the classes' names."""
        return [self.member(c, name) for c in self._declaring.get(name, ()) if c != owner and self.is_a(c, owner)]  # type: ignore[misc]

    @lru_cache(maxsize=1024)  # noqa: B019
    def property_types(self, name: str) -> frozenset[str]:
        """The types that properties of that name have in any class; "event" for events.

        >>> sorted(database().property_types("Heartbeat"))
        ['event']
        """
        members = (self.classes[owner]["members"][name] for owner in self._declaring.get(name, ()))
        return frozenset(m["type"].rstrip("?") if m["kind"] == "property" else m["kind"] for m in members)

    @cached_property
    def _declaring(self) -> dict[str, list[str]]:
        classes: dict[str, list[str]] = {}
        for owner, entry in self.classes.items():
            for name in entry["members"]:
                classes.setdefault(name, []).append(owner)
        return classes

    @lru_cache(maxsize=1024)  # noqa: B019
    def static(self, owner: str, name: str) -> Member | None:
        """What is read with a dot from the name of a datatype or a library: ``Vector3.new``, ``task.wait``."""
        for section, key in ((self.datatypes, "statics"), (self.libraries, "members")):
            if name in section.get(owner, {}).get(key, ()):
                return _member(name, owner, section[owner][key][name])
        return None

    def has_statics(self, owner: str) -> bool:
        """Whether ``owner`` is a library or a datatype with constructors."""
        return owner in self.libraries or "statics" in self.datatypes.get(owner, ())

    @lru_cache(maxsize=256)  # noqa: B019
    def global_(self, name: str) -> Member | None:
        """A global function or value, libraries and datatypes apart."""
        entry = self.globals.get(name)
        return _member(name, "", entry) if entry else None

    def enum_item(self, enum: str, item: str) -> int | None:
        """The value of an item, by its name or an old name of it, or None."""
        items = self.enums.get(enum, {})
        return items.get(self.enum_aliases.get(enum, {}).get(item, item))

    def default(self, name: str, member: str) -> Any:
        """The written default of a class's property, looked up through its superclasses; None where none is written."""
        for current in self.ancestry(name):
            if member in self.classes[current].get("defaults", ()):
                return self.classes[current]["defaults"][member]
        return None


def _member(name: str, owner: str, entry: dict[str, Any]) -> Member:
    fields = {**entry, "params": tuple(map(tuple, entry.get("params", ()))), "counts": tuple(entry.get("counts", ()))}
    return Member(name=name, owner=owner, **fields)


@cache
def database() -> Database:
    """The database, read once a process."""
    return Database(json.loads(PATH.read_text(encoding="utf-8")))
