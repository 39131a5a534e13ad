"""Scoring on a Ray cluster, on two nodes of this machine."""

import os
import signal
import subprocess
import sys
import time
import types

import finished_run
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from luau_rft import cluster, pools, tables
from luau_rft.errors import UserError
from stages import score
from tests.ray_nodes import deadly, refusing, second_node_lost, two_nodes

CODE = (finished_run.ROOT / "data/tasks/train/coin-pickup/reference.luau").read_text()
COUNT = 1600


def params(address: str | None, **changes) -> score.RayParams:
    values = {"address": address, "storage": "parts", "workers": None, "cpus": 1, "rows": 8}
    return score.RayParams(**values | changes)


@pytest.fixture(scope="module")
def nodes():
    """Of which the first test takes one away."""
    with two_nodes() as running:
        yield running


def make_pool(folder):
    """The scores' path of a pool of many candidates."""
    finished_run.make(folder, train=3, evaluated=1)
    rows = [
        {"task_id": f"train-{index % 3}", "index": index, "key": str(index), "seed": 0, "model": "sft", "text": "",
         "code": f"local n = {index}\n{CODE[: 97 * index % len(CODE)]}", "cleaned": False, "tokens": 1,
         "finish_reason": "stop"}
        for index in range(COUNT)
    ]  # fmt: skip
    tables.write(rows, folder / "data/train/candidates.parquet", "candidates")
    (folder / "data/train/scores.parquet").unlink()
    return folder / "data/train/scores.parquet"


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_pool(tmp_path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one machine scores."""
    folder = tmp_path_factory.mktemp("alone")
    path = make_pool(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        score.here("train", path, 1)
    return tables.read(path, "scores")


def test_scores_of_a_cluster_that_loses_a_node_are_those_of_one_machine(nodes, pool, alone, tmp_path):
    with second_node_lost(nodes, tmp_path / "parts", after=20) as loss:
        score.on_cluster("train", pool, params(nodes.address))
    assert 20 <= loss.parts < COUNT // 8 - 20, loss
    assert_frame_equal(tables.read(pool, "scores"), alone)
    assert list((tmp_path / "parts").iterdir()) == []


def test_a_killed_run_goes_on_with_the_units_that_are_missing(pool, alone, tmp_path):
    """On the cluster that ``address: null`` starts, which ends with the run."""
    text = (tmp_path / "params.yaml").read_text()
    section = "score: {engine: ray, processes: 1, ray: {address: null, storage: parts, workers: 1, cpus: 1, rows: 8}}\n"
    start, end = text.index("\nscore:") + 1, text.index("\njudge:") + 1
    (tmp_path / "params.yaml").write_text(text[:start] + section + text[end:])
    command = [sys.executable, "-m", "stages.score", "train"]
    environment = os.environ | {"PYTHONPATH": str(finished_run.ROOT)}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(kept := list((tmp_path / "parts").glob("score-train-*/*.parquet"))) < 10:
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not pool.exists()
    written = {path: path.stat().st_mtime_ns for path in kept}
    second = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while second.poll() is None and not pool.exists():
        for path, at in written.items():
            assert not path.exists() or path.stat().st_mtime_ns == at
        time.sleep(0.2)
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    assert "compile" in output
    assert_frame_equal(tables.read(pool, "scores"), alone)


def test_parts_of_other_candidates_or_scorers_are_never_met(pool, monkeypatch):
    path, tasks = "data/train/candidates.parquet", pools.tasks("train", [])

    def url() -> str:
        return score.parts("train", tasks, params(None)).url

    first = url()
    assert url() == first
    tables.write(tables.read(path, "candidates").with_columns(code=pl.lit("local")).to_dicts(), path, "candidates")
    others = [url()]
    tasks = tasks | {"train-0": tasks["train-0"].model_copy(update={"kind": "client"})}
    others.append(url())
    monkeypatch.setattr(score, "CODE", ("luau", "roblox"))
    others.append(url())
    assert len({first, *others}) == 4


def test_a_table_is_what_the_parts_hold_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "ROWS_AT_ONCE", 3)
    rows = {"task_id": ["b", "a", "c", "a", "b"], "index": [0, 1, 0, 0, 1], "compiles": [True] * 5}
    scores = dict.fromkeys(("syntax", "api", "bugs", "quality", "composite"), 0.5)
    frame = pl.DataFrame(rows).with_columns(findings=pl.Series([[]] * 5, dtype=tables.SCHEMAS["scores"]["findings"]))
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in scores.items()})
    folder = cluster.Folder(str(tmp_path / "parts"))
    folder.make()
    folder.write(frame[:2], "2")
    folder.write(frame[1:], "1")  # a row twice
    wanted = frame.select("task_id", "index").filter(pl.col("task_id") != "c")  # a row of an older plan
    cluster.write_table([folder.dataset()], wanted, wanted.columns, tmp_path / "scores.parquet", "scores")
    expected = frame.filter(pl.col("task_id") != "c").select(*tables.SCHEMAS["scores"]).sort("task_id", "index")
    assert_frame_equal(tables.read(tmp_path / "scores.parquet", "scores"), expected)
    before = (tmp_path / "scores.parquet").read_bytes()
    more = pl.concat([wanted, pl.DataFrame({"task_id": ["z"], "index": [7]})])
    with pytest.raises(UserError, match="1 rows were never made"):
        cluster.write_table([folder.dataset()], more, wanted.columns, tmp_path / "scores.parquet", "scores")
    assert (tmp_path / "scores.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "scores.parquet"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1"),
        ("ray://127.0.0.1:1", "nothing answers at ray://127.0.0.1:1"),
        ("http:/cluster", "expected null, auto, host:port or ray://host:port"),
    ],
)
def test_no_cluster_there(address, message):
    with (
        pytest.raises(UserError, match=f"params.yaml: score.ray.address: .*{message}"),
        cluster.connected(params(address), "score.ray"),
    ):
        pass


def test_ray_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"params.yaml: score.ray: .*pip install 'luau_rft\[ray\]'"):
        cluster.import_ray("score.ray")


def test_what_goes_wrong_on_a_node_is_told(nodes, tmp_path, monkeypatch):
    here = cluster.ClusterParams(address=nodes.address, storage=str(tmp_path), workers=2, cpus=1)
    folder = cluster.Folder(str(tmp_path), "parts")
    only_here = types.ModuleType("only_here")
    exec("def make(): pass", vars(only_here))
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    cases = [
        (refusing, ("mend this",), {}, "^mend this$"),
        (deadly, (), {}, "4 workers died over the unit name"),
        (only_here.make, (), {}, "score.ray: node .* lacks a package .No module named 'only_here'"),
        (deadly, (), {"cpus": 999, "workers": None}, "score.ray.cpus: no node has 999 CPUs"),
    ]
    unit = cluster.Unit("name", None, 1)
    with cluster.connected(here, "score.ray"):
        for make, arguments, changes, message in cases:
            with pytest.raises(UserError, match=message):
                cluster.run(
                    [unit], make, arguments, folder, here.model_copy(update=changes), "score.ray", lambda _: None
                )
