"""``action.yml``: what GitHub documents about composite actions, and its scripts run in bash as a runner does."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
ACTION = YAML(typ="safe", pure=True).load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
SCRIPTS = {step["name"]: step for step in STEPS if "run" in step}
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")

# https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax
TOP = {"name", "author", "description", "inputs", "outputs", "runs", "branding"}
INPUT = {"description", "required", "default", "deprecationMessage"}
STEP = {"name", "id", "if", "run", "shell", "env", "working-directory", "uses", "with", "continue-on-error"}

GOOD = """--!strict
-- Opens the door for whoever touches it.
local Players = game:GetService("Players")
local TweenService = game:GetService("TweenService")

local OPEN = TweenInfo.new(0.5)

local door = script.Parent :: BasePart
local closed = door.CFrame

-- Slides the door aside, waits, and slides it back.
local function open()
	TweenService:Create(door, OPEN, { CFrame = closed * CFrame.new(6, 0, 0) }):Play()
	task.wait(3)
	TweenService:Create(door, OPEN, { CFrame = closed }):Play()
end

local moving = false
door.Touched:Connect(function(part: BasePart)
	local character = part.Parent
	if moving or not character or not Players:GetPlayerFromCharacter(character) then
		return
	end
	moving = true
	open()
	moving = false
end)
"""


def test_the_keys_are_those_of_a_composite_action():
    assert ACTION.keys() <= TOP
    assert {"name", "description", "runs"} <= ACTION.keys()
    assert ACTION["runs"].keys() == {"using", "steps"}
    assert ACTION["runs"]["using"] == "composite"
    assert {"path", "fail-under", "python-version"} <= ACTION["inputs"].keys()
    for name, entry in ACTION["inputs"].items():
        assert re.fullmatch(r"[A-Za-z_][\w-]*", name)
        assert entry.keys() <= INPUT
        assert isinstance(entry["description"], str)
        assert isinstance(entry["required"], bool)
        assert isinstance(entry["default"], str)  # YAML would read 3.10 as 3.1, and no input is anything but text
    for entry in ACTION["outputs"].values():
        assert entry.keys() == {"description", "value"}
    assert ACTION["branding"].keys() == {"icon", "color"}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.get("name", step.get("uses")))
def test_each_step_runs_or_uses_something(step):
    assert step.keys() <= STEP
    assert ("run" in step) != ("uses" in step)
    if "run" in step:
        assert step["shell"] == "bash"
        assert "with" not in step
        # What an input holds would become part of the script; in a variable it stays data.
        assert "${{" not in step["run"]
    else:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+", step["uses"])
        assert "shell" not in step
    assert all(isinstance(value, str) for value in (step.get("env") or step.get("with")).values())


def test_every_expression_names_what_is_there():
    ids = [step["id"] for step in STEPS if "id" in step]
    assert len(ids) == len(set(ids))
    written = set(re.findall(r'echo "(\w+)=.*GITHUB_OUTPUT', SCRIPTS["Score"]["run"]))
    texts = [text for step in STEPS for text in [*step.get("env", {}).values(), *step.get("with", {}).values()]]
    texts += [entry["value"] for entry in ACTION["outputs"].values()]
    used = [match for text in texts for match in EXPRESSION.findall(text)]
    used += [match for step in STEPS if "if" in step for match in re.findall(r"[\w.-]+\.[\w.-]+", step["if"])]
    for name in used:
        match name.split("."):
            case ["inputs", input_]:
                assert input_ in ACTION["inputs"]
            case ["steps", id_, "outputs", output]:
                assert id_ in ids
                assert output in written
            case _:
                assert name == "github.action_path"
    assert {name.split(".")[1] for name in used if name.startswith("inputs.")} == ACTION["inputs"].keys()


def test_findings_are_uploaded_before_the_job_fails():
    kinds = [step.get("uses", step.get("name")).split("@")[0] for step in STEPS]
    order = ["actions/setup-python", "Install luau-rft", "Score", "github/codeql-action/upload-sarif", "Result"]
    assert kinds == order


class Runner:
    """Runs the action's steps in bash, the way GitHub's runners do, in a working folder."""

    def __init__(self, folder: Path, programs: Path, action: Path = ROOT) -> None:
        self.work, self.temp = folder / "work", folder / "temp of the runner"
        self.work.mkdir()
        self.temp.mkdir()
        self.programs, self.action = programs, action

    def step(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        step, given = SCRIPTS[name], {key.replace("_", "-"): value for key, value in inputs.items()}
        output = self.temp / "output"
        written = dict(line.split("=", 1) for line in output.read_text().splitlines()) if output.exists() else {}

        def value(expression: re.Match[str]) -> str:
            match expression[1].split("."):
                case ["inputs", input_]:
                    return given.get(input_, ACTION["inputs"][input_]["default"])
                case ["steps", _, _, name]:
                    return written[name]
            return str(self.action)

        environment = {key: EXPRESSION.sub(value, text) for key, text in step.get("env", {}).items()}
        environment |= {"GITHUB_OUTPUT": str(output), "RUNNER_TEMP": str(self.temp), "HOME": str(self.temp)}
        environment["PATH"] = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        passed = {name: os.environ[name] for name in os.environ if name.startswith("PIP_") or name.endswith("_proxy")}
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            env=passed | environment, cwd=self.work, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def score(self, **inputs: str) -> tuple[int, list[dict]]:
        """The exit status of the job after scoring, and the results that would be uploaded."""
        done = self.step("Score", **inputs)
        assert done.returncode == 0, done.stderr
        result = self.step("Result", **inputs)
        [run] = json.loads((self.temp / "luau-rft.sarif").read_text())["runs"]
        assert ("::error::" in result.stdout) == (result.returncode != 0)
        return result.returncode, run["results"]


@pytest.fixture
def runner(tmp_path):
    runner = Runner(tmp_path, Path(sys.executable).parent)
    (runner.work / "src folder").mkdir()
    (runner.work / "src folder" / "door.server.luau").write_text(GOOD)
    (runner.work / "bad.luau").write_text("local = 1\n")
    return runner


def test_good_code_passes(runner):
    status, results = runner.score(path="src folder", fail_under="0.85")
    assert status == 0
    assert all(result["level"] != "error" for result in results)


def test_a_low_score_fails_and_still_has_its_findings(runner):
    status, results = runner.score(fail_under="0.85")
    assert status == 1
    places = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
    assert "bad.luau" in places


def test_without_a_limit_no_score_fails(runner):
    assert runner.score(path="bad.luau")[0] == 0


def test_several_paths_one_a_line(runner):
    status, results = runner.score(path="src folder/door.server.luau\n\nbad.luau\n", fail_under="0.85")
    assert status == 1
    assert results


def test_a_file_that_cannot_be_read_fails_after_the_others_are_scored(runner):
    (runner.work / "binary.luau").write_bytes(b"\xff\x00")
    status, results = runner.score(path="binary.luau\nbad.luau")
    assert status == 1
    assert results


@pytest.mark.parametrize("path", ["$(touch stolen)", "`touch stolen`", "'; touch stolen; '", "--jobs=1", "-"])
def test_what_a_path_holds_is_never_run(runner, path):
    done = runner.step("Score", path=path)
    assert not (runner.work / "stolen").exists()
    assert done.returncode == 0 or "error: " in done.stderr


def test_a_wrong_limit_fails_at_once(runner):
    done = runner.step("Score", fail_under="high")
    assert done.returncode != 0
    assert "--fail-under" in done.stderr
    assert not (runner.temp / "output").exists()


def test_the_installed_action_scores(tmp_path):
    """From an empty environment, with what the action itself installs."""
    checkout = tmp_path / "checked out"
    checkout.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "luau_rft", checkout / "luau_rft", ignore=shutil.ignore_patterns("__pycache__"))
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    runner = Runner(tmp_path, environment / "bin", checkout)
    (runner.work / "bad.luau").write_text("local = 1\n")
    installed = runner.step("Install luau-rft")
    assert installed.returncode == 0, installed.stderr
    status, results = runner.score(fail_under="0.85")
    assert status == 1
    assert {result["ruleId"] for result in results} >= {"compile-error"}
