"""Several processes train one adapter together."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import UserError
from luau_rft.model.base import BaseRecord, ModelParams, write_record
from luau_rft.model.launch import launch, share
from luau_rft.model.train import CommonParams, LoraParams, RecipeParams
from tests.model.killed import train_in_process

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs/accelerate"
ROWS = [
    {
        "id": f"example-{n:02}", "origin": "gold", "task_id": None,
        "task": f"Print {n}", "code": f"local value = {n}\n" + "print(value)\n" * (1 + n % 3),
    }
    for n in range(16)
]  # fmt: skip
SUBJECT = "from luau_rft.errors import run; from luau_rft.model.launch import launch; run(lambda: launch({!r}, {}))"


class Project:
    """A folder with what the stage train@sft reads."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def params(self, **changes) -> None:
        """Write params.yaml; a change names section and key as ``common__launch``, inside ``train`` or at the top."""
        content = YAML(typ="safe").load(ROOT / "params.yaml")
        content["train"]["common"] |= {
            "max_length": 256, "batch_size": 1, "gradient_accumulation": 4, "gradient_checkpointing": False, "seed": 0,
            "launch": str(CONFIGS / "cpu.yaml"),
        }  # fmt: skip
        # Without dropout, of which the processes draw other numbers than one process.
        content["train"]["lora"] |= {"rank": 4, "dropout": 0.0}
        content["train"]["sft"] |= {"epochs": 1, "learning_rate": 1e-3}
        content["model"] = {"dtype": "bfloat16", "quantization": "none"}
        for name, value in changes.items():
            section, key = name.split("__")
            content["train"].get(section, content.get(section))[key] = value
        YAML().dump(content, self.root / "params.yaml")

    def start(self, *command: str) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, *command], cwd=self.root, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str) -> tuple[int, str, str]:
        process = self.start(*command)
        try:
            out, err = process.communicate(timeout=150)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, out, err

    def train_alone(self, record: BaseRecord) -> None:
        """What the stage does in one process."""
        params = self.root / "params.yaml"
        code, printed = train_in_process(
            self.root / "models/sft",
            rows=ROWS,
            record=record,
            curves=self.root / "metrics/train/sft",
            recipe=load("train.sft", RecipeParams, params),
            common=load("train.common", CommonParams, params),
            lora=load("train.lora", LoraParams, params),
            model_params=load("model", ModelParams, params),
        )
        assert code == 0, printed

    def stage(self) -> tuple[int, str, str]:
        return self.run("-m", "stages.train", "sft")

    def losses(self) -> list[float]:
        lines = (self.root / "metrics/train/sft/plots/metrics/loss.tsv").read_text().splitlines()
        return [float(line.split("\t")[1]) for line in lines[1:]]

    def result(self) -> tuple[bytes, bytes]:
        adapter = self.root / "models/sft/adapter_model.safetensors"
        return adapter.read_bytes(), (self.root / "metrics/train/sft/plots/metrics/loss.tsv").read_bytes()


def launched(config: Path, moment: str = "", step: int = 0) -> tuple[str, str]:
    """The command that launches the stage with a checkpoint after every step."""
    arguments = ", ".join(map(repr, ("tests.model.launched", "sft", moment, str(step))))
    return "-c", SUBJECT.format(str(config), arguments)


@pytest.fixture
def project(tiny_record, tmp_path):
    write_record(tiny_record, tmp_path / "models/base.json")
    (tmp_path / "data").mkdir()
    tables.write(ROWS, tmp_path / "data/sft.parquet", "sft")
    return Project(tmp_path)


def test_two_processes_train_what_one_trains(project, tiny_record):
    project.params()
    project.train_alone(tiny_record)
    alone = project.losses()

    code, out, err = project.stage()
    assert (code, err) == (0, "")
    assert len(re.findall("^sft: 16 examples, ", out, re.M)) == 1
    assert len(re.findall("^train sft, steps: 4/4", out, re.M)) == 1
    assert len(out.splitlines()) == 2
    assert project.losses() == pytest.approx(alone, rel=2e-3)
    undisturbed = project.result()

    # Killed, with the launcher, and gone on with.
    process = project.start(*launched(CONFIGS / "cpu.yaml"))
    begin = time.monotonic()
    while not list(project.root.glob(".cache/train/sft/*/step-2")):
        assert process.poll() is None
        assert time.monotonic() - begin < 100
        time.sleep(0.005)
    process.kill()
    process.communicate()
    code, out, err = project.run(*launched(CONFIGS / "cpu.yaml"))
    assert (code, err) == (0, "")
    assert re.search("^sft: resuming from step [23] of 4$", out, re.M)
    assert project.result() == undisturbed
    assert not (project.root / ".cache/train/sft").exists()


@pytest.mark.slow
def test_processes_that_share_a_quantised_model_train_what_one_trains(project, tiny_record):
    """FSDP with QLoRA, one process dying in the middle."""
    project.params(model__quantization="nf4", common__gradient_checkpointing=True)
    project.train_alone(tiny_record)
    alone, shape = project.losses(), len(project.result()[0])
    config = project.root / "fsdp.yaml"
    config.write_text((CONFIGS / "fsdp.yaml").read_text() + "use_cpu: true\n")
    code, _, err = project.run(*launched(config, "in a micro-batch", 2))
    assert code == 137, err
    assert "error: process 0 of the training ended with -9" in err
    code, out, err = project.run(*launched(config))
    assert code == 0, err
    assert "sft: resuming from step 2 of 4" in out
    assert project.losses() == pytest.approx(alone, rel=1e-2)
    assert len(project.result()[0]) == shape


def test_a_mistake_is_told_once_and_without_a_traceback(project):
    project.params(common__gradient_accumulation=3)
    code, out, err = project.stage()
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"error: params.yaml: train.common.gradient_accumulation: 1 x 3 sequences .* of 6, or .*\n", err
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"train\.common\.launch: \S+: No such file"),
        ("[", "not valid YAML"),
        ("compute_environment: LOCAL_MACHINE", "num_processes is missing"),
        ("num_processes: 4096", "num_processes: 4096 on this machine, which has"),
        ("num_processes: 2\nuse_cpu: true", r"accelerate does not take it \(.*distributed_type"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path, content, message):
    config = tmp_path / "config.yaml"
    if content:
        config.write_text(content)
    with pytest.raises(UserError, match=message):
        launch(str(config), "stages.train", "sft")


@pytest.mark.parametrize(
    ("processes", "batch_size", "accumulation", "own"),
    [(1, 2, 4, (2, 4)), (2, 1, 8, (1, 4)), (4, 2, 2, (1, 1)), (8, 8, 1, (1, 1)), (2, 8, 1, (4, 1)), (6, 3, 4, (1, 2))],
)
def test_processes_share_the_sequences_of_a_step(monkeypatch, processes, batch_size, accumulation, own):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    assert share(batch_size, accumulation) == own
    assert own[0] * own[1] * processes == batch_size * accumulation


def test_sequences_that_cannot_be_shared(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"gradient_accumulation: 2 x 4 .* by 3 processes; make it a multiple of 12"):
        share(2, 4)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_are_what_accelerate_expects(path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes == 2
    assert config.distributed_type.value == ("FSDP" if path.stem == "fsdp" else "MULTI_GPU")
