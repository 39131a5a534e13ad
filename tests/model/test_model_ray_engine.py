"""Generation on a Ray cluster, on two nodes of this machine, with a tiny model."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from luau_rft import cluster, tables
from luau_rft.errors import UserError
from luau_rft.model.base import ModelParams, file_hash, model_folder
from luau_rft.model.engines.base import Request, SamplingParams, Setup
from luau_rft.model.engines.ray import (
    ANSWERS,
    RayParams,
    answer_row,
    asked_row,
    fetched,
    processor,
    weights,
    write_answers,
    write_requests,
)
from luau_rft.model.engines.transformers import TransformersParams
from luau_rft.model.engines.vllm import VllmParams, engine_arguments
from luau_rft.model.generate import generate
from luau_rft.tasks import Requires, Task
from tests.ray_nodes import second_node_lost, two_nodes

SAMPLING = SamplingParams(temperature=0.2, top_p=0.95, max_new_tokens=60, seed=0)
FP32 = ModelParams(dtype="float32", quantization="none")
BATCHES = TransformersParams(batch_size=4)
VLLM = VllmParams(
    batch_size=4, tensor_parallel_size=1, gpu_memory_utilization=0.9, max_model_len=None, quantization=None
)
TASKS = [
    Task(
        id=f"task-{number}", title="t", prompt=f"Build {'very ' * number}well", category="ui", difficulty="easy",
        kind="module", requires=Requires(), reference="", checks="",
    )
    for number in range(12)
]  # fmt: skip


def ray_params(storage: Path, address: str | None = None, **changes) -> RayParams:
    values = {"address": address, "storage": str(storage), "workers": None, "cpus": 1, "gpu_workers": 1}
    return RayParams(**values | {"engine": "transformers", "transformers": BATCHES, "vllm": VLLM} | changes)


@pytest.fixture
def answer(tiny_record, tmp_path):
    """Generate with the tiny model, and read the table."""

    def run(engine, params, samples=8, output=tmp_path / "pool" / "candidates.parquet", **changes):
        arguments = {"sampling": SAMPLING, "model_params": FP32} | changes
        generate(TASKS, samples, tiny_record, output, engine=engine, engine_params=params, **arguments)
        return tables.read(output, "candidates")

    return run


@pytest.fixture(scope="module")
def nodes():
    """Of which the first test takes one away."""
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture
def one_thread():
    """Sums are rounded as on a worker of one CPU."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_cluster_that_loses_a_node_makes_the_rows_of_one_machine(answer, nodes, one_thread, tmp_path, capsys):
    """All rows but those that one machine made before: the keys are the same."""
    alone = answer("transformers", BATCHES, output=tmp_path / "alone.parquet")
    assert_frame_equal(answer("transformers", BATCHES, samples=2), alone.filter(pl.col("index") < 2))
    storage = tmp_path / "shared"
    capsys.readouterr()
    with second_node_lost(nodes, storage, after=3) as loss:
        grown = answer("ray", ray_params(storage, nodes.address))
    assert "72 candidates" in capsys.readouterr().out
    assert 3 <= loss.parts < 15, loss
    assert_frame_equal(grown, alone)
    assert [path.name for path in storage.iterdir()] == ["models"]


def test_parts_of_a_killed_run_are_kept(answer, one_thread, tiny_record, tmp_path, capsys):
    """Of another plan's size, too; where nothing is missing no cluster is asked."""
    alone = answer("transformers", BATCHES, output=tmp_path / "alone.parquet", samples=4)
    capsys.readouterr()
    plan = tables.content_hash(*sorted(alone.filter(index=0)["key"]))
    parts = cluster.Folder(str(tmp_path / "shared"), f"generate-{plan}")
    parts.make()
    parts.write(alone.select(*ANSWERS), "part")
    nowhere = ray_params(tmp_path / "shared", "127.0.0.1:1")
    frame = answer("ray", nowhere, samples=2)
    assert_frame_equal(frame, alone.filter(pl.col("index") < 2))
    assert not (tmp_path / "shared" / f"generate-{plan}").exists()
    assert_frame_equal(answer("ray", nowhere, samples=1), alone.filter(index=0))
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match=r"generate.ray.address: nothing answers"):
        answer("ray", nowhere, samples=4)
    assert_frame_equal(answer("ray", nowhere, samples=1), alone.filter(index=0))


def test_how_ray_starts_vllm(nodes, tiny_record, tiny_adapters, tokenizer, tmp_path):
    """The processor is put together, not run."""
    params = ray_params(tmp_path, nodes.address, engine="vllm", gpu_workers=3)
    setup = Setup(tiny_record, FP32, SAMPLING, tokenizer, tiny_adapters / "sft")
    with cluster.connected(params, "generate.ray"):
        made = processor(params, setup)
    assert made.list_stage_names() == ["vLLMEngineStage"]
    stage = made.get_stage_by_name("vLLMEngineStage")
    told, how = stage.fn_constructor_kwargs, stage.map_batches_kwargs
    assert Path(told["model"]).parent == tmp_path / "models" / tiny_record.identity
    assert (Path(told["model"]) / "model.safetensors").is_file()
    expected = engine_arguments(VLLM, setup)
    assert expected.pop("model") != told["model"]
    assert expected.items() <= told["engine_kwargs"].items()
    assert expected["enable_lora"]
    assert told["batch_size"] == VLLM.batch_size
    assert (how["compute"].min_size, how["compute"].max_size) == (1, 3)


@pytest.fixture
def s3(monkeypatch):
    """The URL of a bucket of an S3 server on the loopback."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield "s3://bucket/luau-rft"
    server.stop()


def test_an_object_store_holds_weights_and_parts(s3, tiny_record, tiny_adapters, tokenizer, tmp_path, monkeypatch):
    """What a node fetches answers as what is here, and the parts are read and removed as those of a folder."""
    monkeypatch.setenv("LUAU_RFT_CACHE", str(tmp_path / "cache"))
    params = ray_params(s3, "head:6379")
    setup = Setup(tiny_record, FP32, SAMPLING, tokenizer, tiny_adapters / "sft")
    base, adapter = weights(params, setup)
    assert weights(params, setup) == (base, adapter)
    for url, source, weight in (
        (base, model_folder(tiny_record), "model.safetensors"),
        (adapter, tiny_adapters / "sft", "adapter_model.safetensors"),
    ):
        assert url.startswith(s3)
        folder = fetched(url)
        assert folder.is_relative_to(tmp_path / "cache")
        assert fetched(url) == folder
        assert file_hash(folder / weight) == file_hash(source / weight)

    rows = [("b", 2, "print()", 3, "stop"), ("a", 1, "return", 2, "length")]
    parts = cluster.Folder(s3, "generate-plan")
    parts.make()
    assert parts.has_marker()
    for row in rows:
        frame = pl.DataFrame([row], schema=ANSWERS, orient="row")
        assert write_answers(frame.to_arrow(), parts.url) == {"rows": [1]}
    assert len(parts.names()) == 2
    read = pl.from_arrow(parts.dataset().to_table()).sort("key")
    assert_frame_equal(read, pl.DataFrame(rows, schema=ANSWERS, orient="row").sort("key"))
    for _ in range(2):  # the second time there is nothing
        parts.remove()
    assert parts.names() == set()
    assert not parts.has_marker()
    with pytest.raises(UserError, match=r"ray\.storage: .* cannot use s3://nobody/x .*bucket does not exist"):
        cluster.Folder("s3://nobody", "x").make()


def test_what_goes_to_vllm_and_comes_back(tmp_path):
    """The rows on both sides of Ray Data LLM's engine stage, which needs a GPU."""
    request = Request("lava", 0, "abc", 2**60 - 1, "Lava", (1, 2, 3))
    requests = cluster.Folder(str(tmp_path), "requests")
    requests.make()
    write_requests([[request]], SAMPLING, requests)
    (row,) = pl.from_arrow(requests.dataset().to_table()).to_dicts()
    asked = asked_row(row, "sft", SAMPLING)
    assert asked["tokenized_prompt"] == [1, 2, 3]
    assert asked["model"] == "sft"
    assert asked["sampling_params"]["seed"] == 2**60 - 1
    assert asked["sampling_params"]["max_tokens"] == 60

    stops = SAMPLING.model_copy(update={"stop": ["</s>", "```"]})
    answers = [
        ("print()", [5, 6, 0], "print()", "stop"),
        ("print() --", [5] * 60, "print() --", "length"),
        ("print()\n``` or </s>", [5] * 60, "print()\n", "stop"),
    ]
    rows = []
    for number, (text, tokens, expected, reason) in enumerate(answers):
        said = {"generated_text": text, "generated_tokens": tokens, "num_generated_tokens": len(tokens)}
        rows.append(answer_row(asked | {"key": str(number)} | said, [0], stops))
        assert (rows[-1]["text"], rows[-1]["finish_reason"], rows[-1]["tokens"]) == (expected, reason, len(tokens))
    parts = cluster.Folder(str(tmp_path), "parts")
    parts.make()
    for _ in range(2):  # a task that Ray repeats
        assert write_answers(pl.DataFrame(rows).to_arrow(), parts.url) == {"rows": [3]}
    assert_frame_equal(pl.from_arrow(parts.dataset().to_table()), pl.DataFrame(rows, schema=ANSWERS))
