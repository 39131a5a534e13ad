"""The tiny profile end to end, by DVC, in copies of the project."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from luau_rft import tables
from tests.project import Project, new_project, stages_run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[str]]:
    """A copy in which the whole pipeline ran and was committed, and the stages that ran."""
    project = new_project(tmp_path_factory.mktemp("pipeline") / "project")
    ran = project.repro()
    project.commit("the results")
    return project, ran


@pytest.fixture
def scratch(tiny: tuple[Project, list[str]], tmp_path: Path) -> Project:
    """A copy of the finished run that a test may change; it shares nothing with the original."""
    subprocess.run(["cp", "-r", tiny[0].root, tmp_path / "copy"], check=True)
    return Project(tmp_path / "copy")


def lock(project: Project) -> dict:
    return yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]


def outputs(project: Project) -> dict[str, str]:
    """The hash of every output, tables, adapters and metrics alike, but for the timings."""
    found = {out["path"]: out["md5"] for stage in lock(project).values() for out in stage["outs"]}
    return {path: md5 for path, md5 in found.items() if not path.startswith("metrics/speed/")}


def test_every_stage_runs_once_and_then_none(tiny):
    project, ran = tiny
    declared = {line.split()[0] for line in project.run("dvc", "stage", "list", "--all").stdout.splitlines()}
    assert sorted(ran) == sorted(declared)
    assert set(lock(project)) == declared
    assert project.repro() == []
    assert "up to date" in project.run("dvc", "repro").stdout


def test_a_run_from_nothing_gives_the_same_bytes(tiny, tmp_path):
    again = new_project(tmp_path / "again")
    again.repro()
    assert outputs(again) == outputs(tiny[0])


TABLES = {f"data/{table}.parquet": table for table in tables.SCHEMAS.keys() - {"candidates", "scores", "judgments"}} | {
    f"data/{pool}/{table}.parquet": table
    for pool in ("train", "eval-base", "eval-sft", "eval-rft")
    for table in ("candidates", "scores", "judgments")
}


@pytest.mark.parametrize(("path", "table"), sorted(TABLES.items()))
def test_tables_match_their_schemas(tiny, path, table):
    frame = tables.read(tiny[0].root / path, table)
    assert frame.schema == tables.SCHEMAS[table]
    keys = list(tables.PRIMARY_KEYS[table])
    assert frame.select(keys).equals(frame.select(keys).sort(keys))


def test_metrics_have_the_agreed_names(tiny):
    names = {
        "syntax", "api", "bugs", "quality", "composite", "judge", "reward", "compile_rate", "finished_rate",
        "cleaned_rate", "checks_passed_rate", "unknown_rate", "pass_at_1", "n_tasks", "n_samples", "judge_backend",
    }  # fmt: skip
    metrics = tiny[0].root / "metrics"
    for model in ("base", "sft", "rft", "release"):
        assert tables.read_json(metrics / f"{model}.json").keys() == names
    selection = tables.read_json(metrics / "selection.json")
    assert {"n_candidates", "n_kept", "keep_rate", "mean_reward", "best_reward_mean", "n_near_copies"} <= set(selection)
    compare = tables.read_json(metrics / "compare.json")
    assert compare["n_selected"] == selection["n_kept"]
    assert {"base", "sft", "rft", "delta", "ci_low", "ci_high", "p_better"} <= set(compare["composite"])


@pytest.mark.parametrize("adapter", ["models/sft", "models/rft", "models/release"])
def test_adapters_load_with_plain_peft(tiny, adapter):
    from peft import PeftModel

    from luau_rft.model.base import load_model, read_record

    root = tiny[0].root
    record = read_record(root / "models/base.json")
    model = PeftModel.from_pretrained(load_model(record), root / adapter)
    assert model.peft_config["default"].base_model_name_or_path == record.name
    assert model.peft_config["default"].r == 64


def test_the_usage_snippet_of_the_model_card_runs(tiny):
    from luau_rft.evaluation.card import usage_snippet

    card = (tiny[0].root / "models/release/README.md").read_text()
    snippet = usage_snippet(card)
    short, replaced = re.subn(r"max_new_tokens=\d+", "max_new_tokens=8", snippet)
    assert replaced == 1
    assert tiny[0].run("python", "-c", short).stdout.strip()


@pytest.mark.parametrize("threshold", ["1.0", "0.0"])
def test_a_new_threshold_reruns_select_and_trains_only_on_new_data(scratch, threshold):
    before = outputs(scratch)["data/rft.parquet"]
    # train@rft is the target, so that nothing past it costs time.
    ran = stages_run(scratch.run("dvc", "exp", "run", "-S", f"select.threshold={threshold}", "train@rft").stdout)
    changed = outputs(scratch)["data/rft.parquet"] != before
    assert ran == (["select", "train@rft"] if changed else ["select"])


def test_metrics_diff_compares_sft_with_rft(scratch):
    for model in ("sft", "rft"):
        run = scratch.run("dvc", "exp", "run", "--name", model, "-S", f"release.model={model}")
        # Once rft had been released, DVC's run cache may hold it.
        assert set(stages_run(run.stdout)) <= {"release"}
    assert tables.read_json(scratch.root / "metrics/release.json") == tables.read_json(
        scratch.root / "metrics/rft.json"
    )
    target = ("--targets", "metrics/release.json", "--json")
    diff = yaml.safe_load(scratch.run("dvc", "metrics", "diff", "sft", "rft", *target, "--all").stdout)
    released = diff["metrics/release.json"]
    for model, side in (("sft", "old"), ("rft", "new")):
        metrics = tables.read_json(scratch.root / f"metrics/{model}.json")
        assert {name: released[name][side] for name in metrics} == metrics


def test_a_remote_carries_every_output_to_a_fresh_clone(tiny, tmp_path):
    import boto3
    from moto.server import ThreadedMotoServer

    project = tiny[0]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )
        client.create_bucket(Bucket="luau-rft")
        project.run("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
        clone = Project(tmp_path / "clone")
        for side in (project, clone):
            side.run("dvc", "remote", "add", "--local", "--default", "storage", "s3://luau-rft/store")
            side.run("dvc", "remote", "modify", "--local", "storage", "endpointurl", endpoint)
        project.run("dvc", "push")
        clone.run("dvc", "pull")
        assert clone.repro() == []
        assert tables.read(clone.root / "data/rft.parquet", "rft").height > 0
    finally:
        server.stop()
