"""A working copy of the project that a test may run and spoil."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from luau_rft import profile
from luau_rft.demo import copy_project

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Project:
    """A copy of the project with its own Git history and DVC cache."""

    root: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, with this Python first on the path and nothing of the user's Git settings."""
        environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@localhost",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        result = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        if check:
            assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result

    def repro(self, *arguments: str) -> list[str]:
        """``dvc repro``; the names of the stages that ran."""
        return stages_run(self.run("dvc", "repro", *arguments).stdout)

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)


def stages_run(output: str) -> list[str]:
    """The stages that ``dvc repro`` or ``dvc exp run`` says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def new_project(root: Path) -> Project:
    """A fresh copy of the project at ``root``, committed, with the tiny profile."""
    root.mkdir(parents=True)
    copy_project(ROOT, root)
    profile.apply("tiny", root / "params.yaml")
    project = Project(root)
    project.run("git", "init", "--quiet")
    project.commit("the project with the tiny profile")
    return project
