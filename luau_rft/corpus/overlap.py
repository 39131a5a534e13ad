"""Finds training texts that share a run of words with a held-out task."""

import re
from collections.abc import Iterable, Iterator

from luau_rft.tasks import Task

# Lines that every other script has, word for word; they tell nothing about where a text comes from.
_BOILERPLATE = re.compile(r"^\s*local \w+ = game:GetService\(.*\)\s*$|^--!\w+\s*$", re.MULTILINE)


class Overlap:
    """Holds the runs of ``length`` words in the prompts and the references of tasks.

    Case, blanks and punctuation do not count, nor do ``GetService`` lines; a shorter text is one run.
    """

    def __init__(self, tasks: Iterable[Task], length: int) -> None:
        self.length = length
        self._owner: dict[tuple[str, ...], str] = {}
        for task in tasks:
            for text in (task.prompt, task.reference):
                for run in self._runs(text):
                    self._owner.setdefault(run, task.id)

    def find(self, *texts: str) -> tuple[str, str] | None:
        """The id of the first task that shares a run with one of ``texts``, and the shared words."""
        for text in texts:
            for run in self._runs(text):
                if run in self._owner:
                    return self._owner[run], " ".join(run)
        return None

    def _runs(self, text: str) -> Iterator[tuple[str, ...]]:
        words = re.findall(r"\w+", _BOILERPLATE.sub("", text).lower())
        for start in range(max(bool(words), len(words) - self.length + 1)):
            yield tuple(words[start : start + self.length])
