"""A training that is killed again and again ends with the bytes of an undisturbed one."""

from pathlib import Path

import pytest

from luau_rft.model.base import ModelParams
from luau_rft.model.checkpoints import Checkpoints, key
from luau_rft.model.train import RecipeParams
from tests.model.killed import train_in_process

ROWS = [
    {"id": f"example-{n}", "task": f"Print {n}", "code": f"local value = {n}\n" + "print(value)\n" * (1 + n % 4)}
    for n in range(10)
]
STEPS_AN_EPOCH = 5


@pytest.fixture
def run(tiny_record, tmp_path, common, lora):
    """Train in a process of its own; its exit code, what it printed and the files that are to be the same."""

    def start(name="sft", moment="", step=0, every_s=0.0, **changes):
        arguments = {
            "rows": ROWS,
            "record": tiny_record,
            "curves": tmp_path / "curves" / name,
            "speed": tmp_path / "speed" / name,
            "checkpoints": tmp_path / "checkpoints" / name,
            "recipe": RecipeParams(epochs=2, learning_rate=1e-3),
            "common": common,
            "lora": lora,
            "model_params": ModelParams(dtype="bfloat16", quantization="none"),
        } | changes
        code, printed = train_in_process(tmp_path / "models" / name, moment, step, every_s, **arguments)
        return code, printed

    return start


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_training_killed_at_any_moment_ends_like_an_undisturbed_one(run, tmp_path):
    assert run("whole")[0] == 0

    def killed(moment, step):
        code, printed = run("sft", moment, step)
        assert code == -9, printed
        assert not (tmp_path / "models/sft").exists() or moment == "before the clean-up"
        return printed

    assert "resuming" not in killed("in a micro-batch", 2)
    assert "sft: resuming from step 2 of 10" in killed("while writing", 4)
    assert "sft: resuming from step 3 of 10" in killed("in a micro-batch", STEPS_AN_EPOCH)
    assert "sft: resuming from step 5 of 10" in killed("before the renaming", 8)
    newest, older = sorted(tmp_path.glob("checkpoints/sft/*/step-*"), reverse=True)
    assert (older.name, newest.name) == ("step-6", "step-7")
    with (newest / "optimizer.pt").open("r+b") as file:
        file.truncate(1000)
    printed = killed("before the clean-up", 10)
    assert "sft: the checkpoint of step 7 is damaged and not used" in printed
    assert "sft: resuming from step 6 of 10" in printed
    assert run()[0] == 0

    assert files(tmp_path / "models/sft") == files(tmp_path / "models/whole")
    assert files(tmp_path / "curves/sft") == files(tmp_path / "curves/whole")
    assert files(tmp_path / "speed/sft").keys() == files(tmp_path / "speed/whole").keys()
    assert not (tmp_path / "checkpoints/sft").exists()


def test_checkpoints_of_other_params_are_removed_and_not_used(run, tmp_path):
    assert run("sft", "in a micro-batch", 3)[0] == -9
    assert list(tmp_path.glob("checkpoints/sft/*/step-3"))
    code, printed = run("sft", "in a micro-batch", 1, recipe=RecipeParams(epochs=2, learning_rate=2e-3))
    assert code == -9
    assert "sft: removed checkpoints made with other data or params (" in printed
    assert "resuming" not in printed
    assert [path.name for path in tmp_path.glob("checkpoints/sft/*/step-*")] == ["step-1"]


def test_no_checkpoint_is_written_before_its_time(run, tmp_path):
    assert run("sft", "in a micro-batch", 5, every_s=3600.0)[0] == -9
    assert not list(tmp_path.glob("checkpoints/sft/*/*"))


def test_where_every_checkpoint_is_damaged_there_is_none(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path / "sft", "key")
    for step in (1, 2, 3):
        written = checkpoints.writing / f"checkpoint-{step}"
        written.mkdir(parents=True)
        (written / "optimizer.pt").write_bytes(b"state")
        checkpoints.add(written)
    assert checkpoints.last().name == "step-3"
    folders = sorted(checkpoints.folder.glob("step-*"))
    assert [folder.name for folder in folders] == ["step-2", "step-3"]
    (folders[1] / "optimizer.pt").write_bytes(b"stale")  # of the same length, as a loss of power may leave it
    (folders[0] / "optimizer.pt").unlink()
    assert checkpoints.last() is None
    printed = capsys.readouterr().out
    assert printed == (
        "sft: the checkpoint of step 3 is damaged and not used\nsft: the checkpoint of step 2 is damaged and not used\n"
    )
    assert not list(checkpoints.folder.glob("step-*"))


def test_a_key_stands_for_all_its_parts():
    parts = ([("id", "task", "code")], "identity", None, [{"learning_rate": 1e-3}], 1)
    assert key(*parts) == key(*parts)
    others = [(*parts[:at], "other", *parts[at + 1 :]) for at in range(len(parts))]
    assert len({key(*each) for each in (parts, *others)}) == len(parts) + 1
