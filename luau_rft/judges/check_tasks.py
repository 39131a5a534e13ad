"""Validates the hand-written tasks: their format, their references against their own checks, the two splits."""

import re
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.judges import execution
from luau_rft.luau.compiler import compile_error
from luau_rft.scorers.composite import score_code
from luau_rft.tasks import Task, load_task, load_tasks

MIN_CHECKS = 4
MIN_VALUE = 0.95
MIN_COMPOSITE = 0.85
EASY_LINES = 30
SHARED_WORDS = 13
USES = ("normal", "edge", "abuse")
DOES_NOTHING = {"server": "", "client": "", "module": "return {}"}


def check_tasks(folder: str | Path) -> list[str]:
    """What is wrong with the tasks of a split, or of a folder that holds both; empty when all is in order.

    Raises ``UserError`` when there is no task at all.
    """
    folder = Path(folder)
    splits = [folder / name for name in ("train", "eval") if (folder / name).is_dir()] or [folder]
    problems, tasks = [], {}
    for split in splits:
        paths = sorted(path for path in split.glob("*") if path.is_dir())
        if not paths:
            raise UserError(f"{split}: no tasks; expected folders with task.yaml, reference.luau and checks.luau")
        tasks[split] = []
        for path in paths:
            try:
                tasks[split].append(load_task(path))
            except UserError as error:
                problems.append(str(error))
    everything = [task for split in tasks.values() for task in split]
    problems += _sources(everything)
