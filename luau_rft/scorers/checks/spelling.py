"""Names that differ by a slip of the keyboard."""

from collections.abc import Iterable, Iterator
from functools import cached_property

_LONGEST = 60  # longer names are compared with none, which keeps the index small


class Spellings:
    """A set of names that can be asked for those that one typing error away from a given one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._all = list(dict.fromkeys(names))

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for name in self._all:
            for rest in _rests(name):
                index.setdefault(rest, []).append(name)
        return index

    def near(self, name: str) -> list[str]:
        """The other names that one edit, or letters of another case, make of ``name``; those by case first.

        >>> Spellings(["health", "wealth", "Coins"]).near("helath"), Spellings(["Coins"]).near("coins")
        (['health'], ['Coins'])
        """
        candidates = {other for rest in _rests(name) for other in self._names.get(rest, ())} - {name}
        found = [other for other in candidates if is_slip(name, other)]
        return sorted(found, key=lambda other: (other.lower() != name.lower(), other))


def is_slip(a: str, b: str) -> bool:
    """Whether one letter too many, missing, wrong or swapped with the next makes ``b`` of ``a``, whatever the case.

    >>> [is_slip("start", other) for other in ("strat", "stat", "Start", "stairs", "starts")]
    [True, True, True, False, True]
    """
    a, b = a.lower(), b.lower()
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[at:], b[at:]
    return b in (a, a[1:]) or a == b[1:] or a[1:] == b[1:] or a[1::-1] + a[2:] == b


def _rests(name: str) -> Iterator[str]:
    """The name, and what is left of it without one letter: two names a slip apart have one of these in common."""
    name = name.lower()
    if len(name) <= _LONGEST:
        yield name
        yield from dict.fromkeys(name[:i] + name[i + 1 :] for i in range(len(name)))
