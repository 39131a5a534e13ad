import re
import shutil
from pathlib import Path

import pytest

from luau_rft.errors import UserError
from luau_rft.judges.check_tasks import check_tasks

TASKS = Path(__file__).parents[2] / "data" / "tasks"


@pytest.fixture
def tasks(tmp_path):
    """One task in each split."""
    for split, name in (("train", "lava-floor"), ("eval", "wolf-mood")):
        shutil.copytree(TASKS / split / name, tmp_path / split / name)
    return tmp_path


def edit(path, pattern, replacement):
    text = path.read_text()
    changed = re.sub(pattern, replacement, text, count=1)
    assert changed != text
    path.write_text(changed)


def test_the_committed_tasks_are_in_order():
    assert check_tasks(TASKS) == []


def test_a_split_alone_can_be_checked(tasks):
    assert check_tasks(tasks / "train") == []


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "problem"),
    [
        ("reference.luau", r"humanoid.Health = 0", "humanoid.Health -= 1", r"reference.luau: judged 0.0, less"),
        ("reference.luau", r"end\n\nlava", "lava", r"reference.luau:\d+: does not compile"),
        ("reference.luau", r"\Z", "\n" * 20, r"reference.luau: 38 lines; an easy task has at most 30"),
        ("reference.luau", r"--!strict[\s\S]*", "print('lava')", r"reference.luau: scores 0.20, less than 0.85"),
        ("checks.luau", r"checks = \{", "checks = [", r"checks.luau:\d+: does not compile"),
        ("checks.luau", r'use = "abuse"', 'use = "edge"', r"checks.luau: no check with use 'abuse'"),
        ("checks.luau", r'use = "abuse"', 'use = "misuse"', r"checks.luau: check \d.*: use must be normal, edge or"),
        ("checks.luau", r"checks = \{", "checks = {}, more = {", r"checks.luau: returns no checks"),
        ("checks.luau", r'use = "edge"(?=[^}]*crate)', 'use = "normal"', r"'loose parts .*': .* does nothing"),
        ("task.yaml", r"kind: server", "kind: plugin", r"task.yaml: kind"),
    ],
)
def test_a_problem_is_told_with_its_file(tasks, file, pattern, replacement, problem):
    edit(tasks / "train" / "lava-floor" / file, pattern, replacement)
    problems = check_tasks(tasks)
    assert any(re.search(problem, line) for line in problems), problems


def test_a_reference_that_meets_what_is_not_modelled_is_told_and_counted(tasks, capsys):
    assert check_tasks(tasks) == []
    assert re.search(r": 0 of 1\d checks met what the engine does not model \(0.0 %\)\n", capsys.readouterr().out)
    reference = tasks / "train" / "lava-floor" / "reference.luau"
    edit(reference, r"\Z", "workspace.Terrain:FillBall(Vector3.zero, 4, Enum.Material.Grass)\n")
    [problem] = check_tasks(tasks)
    assert problem.startswith(f"{reference}: undecided, as the engine does not model all of it: ")
    assert "Not modelled: Terrain:FillBall." in problem
    assert re.search(r": 5 of 1\d checks met", capsys.readouterr().out)


def test_all_problems_are_told_at_once(tasks):
    (tasks / "train" / "lava-floor" / "reference.luau").unlink()
    edit(tasks / "eval" / "wolf-mood" / "checks.luau", r'"Flee"', '"Run"')
    problems = check_tasks(tasks)
    assert len(problems) == 2
    assert "lava-floor/reference.luau: missing" in problems[0]
    assert "wolf-mood/reference.luau: judged" in problems[1]


def test_splits_that_share_words_are_told(tasks):
    shared = tasks / "train" / "wolf-brain"
    shutil.copytree(tasks / "eval" / "wolf-mood", shared)
    edit(shared / "task.yaml", "id: wolf-mood", "id: wolf-brain")
    [problem] = check_tasks(tasks)
    assert "wolf-brain: shares words with the eval task wolf-mood" in problem


def test_a_folder_without_tasks_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no tasks"):
        check_tasks(tmp_path)
