"""The ``tiny`` profile in a temporary copy of the project: a first try that changes nothing here."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from luau_rft import profile
from luau_rft.errors import UserError


def copy_project(source: Path, destination: Path) -> None:
    """Copy what Git knows or would add, without ``dvc.lock``, so that every stage of the copy runs."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode != 0:
        raise UserError(f"{source}: not a Git checkout of this project; clone it and run from the clone's root")
    for name in filter(None, listing.stdout.split("\0")):
        if name == "dvc.lock" or not (source / name).is_file():
            continue
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, destination / name)


def run() -> None:
    """Run the tiny pipeline and print its results table. Raises ``UserError`` when a stage fails."""
    if not Path("dvc.yaml").is_file():
        raise UserError("dvc.yaml: no such file; run from the project's root")
    workspace = Path(tempfile.mkdtemp(prefix="luau-rft-demo-"))
    copy_project(Path.cwd(), workspace)
    profile.apply("tiny", workspace / "params.yaml")
    (workspace / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n    autostage = false\n")
    print(f"The tiny profile runs in {workspace}, which is yours to delete; this project stays as it is.", flush=True)
    # The stages run as `python`: this one, also where its environment is not activated.
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    command = [sys.executable, "-m", "dvc", "repro"]
    if subprocess.run(command, cwd=workspace, env=environment, check=False).returncode != 0:
        raise UserError(f"the demo stopped; its files are in {workspace}, `dvc repro` there goes on")
    subprocess.run([sys.executable, "-m", "luau_rft.cli", "results"], cwd=workspace, check=True)
    print(f"These paths are in {workspace}.")
