from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from luau_rft.errors import UserError
from luau_rft.roblox.scripts import split as split_scripts
from luau_rft.tasks import Category, load_task, load_tasks

TASKS = Path(__file__).parents[1] / "data" / "tasks"

DESCRIPTION = """
id: coin
title: A coin
prompt: Make a coin.
category: game-mechanics
difficulty: easy
kind: server
requires: {}
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "coin"
    folder.mkdir()
    (folder / "task.yaml").write_text(DESCRIPTION)
    (folder / "reference.luau").write_text("print(1)\n")
    (folder / "checks.luau").write_text("return { checks = {} }\n")
    return folder


@pytest.mark.parametrize("split", ["train", "eval"])
def test_each_split_holds_fifty_tasks_of_every_sort(split):
    tasks = load_tasks(TASKS / split)
    assert Counter(task.difficulty for task in tasks) == {"easy": 20, "medium": 20, "hard": 10}
    categories = Counter(task.category for task in tasks)
    assert categories.keys() == set(get_args(Category))
    assert set(categories.values()) <= {8, 9}
    assert {task.kind for task in tasks} == {"server", "client", "module"}


@pytest.mark.parametrize("split", ["train", "eval"])
def test_most_hard_tasks_take_a_server_and_a_client(split):
    kinds = [{script.kind for script in split_scripts(task.reference, task.kind)} for task in hard(split)]
    assert sum({"server", "client"} <= found for found in kinds) >= 9


def hard(split):
    return [task for task in load_tasks(TASKS / split) if task.difficulty == "hard"]


def test_no_task_is_in_both_splits():
    train, evaluation = load_tasks(TASKS / "train"), load_tasks(TASKS / "eval")
    assert not {task.id for task in train} & {task.id for task in evaluation}
    assert not {task.prompt for task in train} & {task.prompt for task in evaluation}


def test_limit_takes_the_first_by_id():
    tasks = load_tasks(TASKS / "train", limit=3)
    assert [task.id for task in tasks] == sorted(path.name for path in (TASKS / "train").iterdir())[:3]


def test_a_task_is_what_its_files_say(folder):
    task = load_task(folder)
    assert (task.id, task.kind, task.reference) == ("coin", "server", "print(1)\n")
    assert task.folder == folder
    assert "folder" not in task.model_dump()


@pytest.mark.parametrize("name", ["task.yaml", "reference.luau", "checks.luau"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"coin/{name}: missing"):
        load_task(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: server", "kind: plugin", r"task.yaml: kind: .* got 'plugin'"),
        ("title: A coin\n", "", r"task.yaml: title: Field required"),
        ("requires: {}", "requires: {event: [Part.Touched]}", r"task.yaml: requires.event: Extra inputs"),
        ("requires: {}", "requires: {}\nfolder: elsewhere", r"task.yaml: folder: "),
        ("id: coin", "id: Coin", r"task.yaml: id: 'Coin' must be its folder's name"),
        ("title: A coin", "title: [A", r"task.yaml: not valid YAML"),
        (DESCRIPTION, "coin\n", r"task.yaml: expected a mapping"),
    ],
)
def test_a_wrong_field_is_named(folder, old, new, message):
    (folder / "task.yaml").write_text(DESCRIPTION.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_task(folder)


def test_text_that_is_not_utf8_is_named(folder):
    (folder / "checks.luau").write_bytes(b"-- caf\xe9\n")
    with pytest.raises(UserError, match=r"checks.luau: not UTF-8"):
        load_task(folder)


def test_a_folder_without_tasks_is_named(tmp_path):
    with pytest.raises(UserError, match="no tasks"):
        load_tasks(tmp_path / "nothing")
