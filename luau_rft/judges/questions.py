"""What a model is asked about a candidate: the rubric, the task, and the program as data."""

import re
import unicodedata
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from luau_rft.llm.quoting import quoted
from luau_rft.tasks import Task

PROMPTS = Path(__file__).with_name("prompts")
MOST_CHARACTERS = 40_000  # of a program, written visibly; a longer one is not asked about and stays undecided
MOST_OF_RUN = 4_000  # characters; the rest of what a run showed is left out

_KINDS = {
    "server": "server script (Script in ServerScriptService)",
    "client": "client script (LocalScript)",
    "module": "module (ModuleScript)",
}
# Control characters, zero-width and bidirectional ones, tags, private use: nothing is to be seen of them.
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_VARIATIONS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # selectors, in which text can be hidden


class Verdict(BaseModel):
    """The rating of one program."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    reason: str = Field(max_length=1000)
    functionality: float = Field(ge=0, le=1)
    correctness: float = Field(ge=0, le=1)
    completeness: float = Field(ge=0, le=1)


@cache
def rubric() -> str:
    """What all questions share."""
    return _prompt("judge")


def about_task(task: Task) -> str:
    """What the questions about one task share; neither its checks nor its reference are in it."""
    return _filled(_filled(_prompt("task"), "kind", _KINDS[task.kind]), "prompt", task.prompt.strip())


def about_program(code: str, run: str | None = None) -> str:
    """The question about one program; ``run`` is what a run of it showed.

    Around the blocks of program and run it is the same text for every program.
    """
    program, shown = visible(code), visible(run or "")
    if len(shown) > MOST_OF_RUN:
        shown = shown[:MOST_OF_RUN] + " …"
    blocks = quoted("program", program, beside=shown)
    if run is not None:
        blocks += "\n\n" + quoted("run", shown, beside=program)
    return _filled(_prompt("program"), "program", blocks)


def too_long(code: str) -> bool:
    """Whether a program is longer than what is asked about."""
    return len(code) > MOST_CHARACTERS or len(visible(code)) > MOST_CHARACTERS


def visible(text: str) -> str:
    r"""The text with its invisible characters spelled out, all but line ends and tabs.

    >>> visible("local a = 1 --\u202e 2\r\n")
    'local a = 1 --⟨U+202E⟩ 2\n'
    """
    text = text.replace("\r\n", "\n")
    return re.sub(r"[^\t\n -~]", lambda found: _spelled(found.group()), text)


def _spelled(character: str) -> str:
    code = ord(character)
    hidden = unicodedata.category(character) in _INVISIBLE or any(code in selectors for selectors in _VARIATIONS)
    return f"⟨U+{code:04X}⟩" if hidden else character


@cache
def _prompt(name: str) -> str:
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip()


def _filled(template: str, name: str, value: str) -> str:
    before, found, after = template.partition(f"{{{name}}}")
    assert found, f"no {{{name}}} in the prompt"
    return before + value + after
