import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from luau_rft.errors import UserError
from luau_rft.model.base import BaseRecord, HubSource, ModelParams, model_folder, read_record
from luau_rft.model.engines.base import SamplingParams
from luau_rft.model.engines.openai import OpenAIParams
from luau_rft.model.engines.transformers import TransformersParams
from luau_rft.model.generate import generate
from luau_rft.model.serve import serve as become_server
from luau_rft.model.serve import vllm_arguments
from luau_rft.tasks import Requires, Task

ROOT = Path(__file__).parents[2]
GREEDY = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=12, seed=0)
FP32 = ModelParams(dtype="float32", quantization="none")
TASKS = [
    Task(id=name, title=name, prompt=prompt, category="ui", difficulty="easy", kind="module", requires=Requires(),
         reference="", checks="")
    for name, prompt in (("a", "A door"), ("b", "A much longer request for a door"))
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tiny_adapters, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(tiny_adapters, root / "models")
    (root / "params.yaml").write_text("model: {dtype: float32, quantization: none}\n")
    return root


def serve(project: Path, *arguments: str, path: str | None = None, **pipes) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"PATH": path} if path else {})
    command = [sys.executable, "-m", "luau_rft.cli", "serve", *arguments]
    return subprocess.Popen(command, cwd=project, env=environment, text=True, **pipes)


def outcome(project: Path, *arguments: str, **options) -> tuple[int, str, str]:
    process = serve(project, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def server(project):
    """The address of ``luau-rft serve`` without vLLM, its process and what it said until it listened."""
    log = project / "serve.log"
    with log.open("w") as file:
        process = serve(project, "--port", "0", stderr=file)
    try:
        for _ in range(1200):
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text()):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"{found[1]}/v1", process, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_answers_under_both_names_with_the_adapters_weights(server, project, tmp_path):
    url, _, said = server
    assert "through transformers' own server with merged models, because vLLM is not installed" in said
    record = read_record(project / "models" / "base.json")
    engines = {
        "openai": OpenAIParams.model_validate(
            {"url": url, "models": {"base": "base", "sft": "sft", "rft": "rft"}, "concurrency": 2, "timeout_s": 60,
             "retries": 0}
        ),
        "transformers": TransformersParams(batch_size=4),
    }  # fmt: skip

    def texts(model: str, engine: str) -> list[str]:
        frame = generate(
            TASKS, 1, record, tmp_path / f"{model}-{engine}.parquet", sampling=GREEDY, engine=engine,
            engine_params=engines[engine], model_params=FP32, adapter=project / "models" / model,
        )  # fmt: skip
        return list(frame["text"])

    assert texts("sft", "openai") == texts("sft", "transformers")
    assert texts("rft", "openai") == texts("rft", "transformers")
    assert texts("sft", "openai") != texts("rft", "openai")


def test_lists_the_names_and_tells_a_client_of_another(server, project, tmp_path):
    from openai import OpenAI

    url, _, _ = server
    client = OpenAI(base_url=url, api_key="none", max_retries=0)
    assert sorted(model.id for model in client.models.list()) == ["rft", "sft"]
    params = {"url": url, "models": {"base": "base", "sft": "gpt", "rft": "rft"}, "concurrency": 1, "timeout_s": 60,
              "retries": 0}  # fmt: skip
    with pytest.raises(UserError, match=r"models\.sft: .* has no model gpt, only rft, sft"):
        generate(
            TASKS, 1, read_record(project / "models" / "base.json"), tmp_path / "candidates.parquet", sampling=GREEDY,
            engine="openai", engine_params=OpenAIParams.model_validate(params), model_params=FP32,
            adapter=project / "models" / "sft",
        )  # fmt: skip


def test_samples_at_the_temperature_that_a_request_names(server):
    from openai import OpenAI

    client = OpenAI(base_url=server[0], api_key="none", max_retries=0)

    def text(seed: int) -> str:
        asked = {"model": "rft", "messages": [{"role": "user", "content": "A door"}], "max_tokens": 12}
        return client.chat.completions.create(**asked, temperature=1.0, top_p=1.0, seed=seed).choices[0].message.content

    assert text(1) == text(1) != text(2)


def test_nothing_outlives_it(server):  # last of the tests with this server
    url, process, _ = server
    address = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
    children = subprocess.run(["ps", "--no-headers", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    assert children == ""  # it is the server itself
    socket.create_connection(address).close()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_merges_once_and_again_only_what_changed(project, capsys, monkeypatch):
    monkeypatch.chdir(project)

    def printed() -> tuple[str, str]:
        become_server(["sft", "base"], "0.0.0.0", 9, only_print=True)
        return capsys.readouterr()

    def snapshots() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in project.glob(".cache/merged/models--*/snapshots/*")}

    output, errors = printed()
    assert "serve: sft, base at http://0.0.0.0:9/v1" in errors
    assert "whoever reaches 0.0.0.0:9 is answered without a key, and a request may name any folder" in errors
    program = output.split()[2]
    assert output == (
        f"HF_HUB_CACHE={project}/.cache/merged HF_HUB_OFFLINE=1 {program} serve --host 0.0.0.0 --port 9 "
        "--model-timeout -1\n"
    )
    assert Path(shutil.which(program)).samefile(Path(sys.executable).with_name("transformers"))
    made = snapshots()
    assert {path.parts[-3] for path in made} >= {"models--sft", "models--base"}

    again, errors = printed()
    assert again == output
    assert "merging" not in errors
    assert snapshots() == made

    shutil.copytree(project / "models" / "rft", project / "models" / "sft", dirs_exist_ok=True)
    _, errors = printed()
    assert "merging sft" in errors
    assert "merging base" not in errors
    (kept,) = project.glob(".cache/merged/models--sft/snapshots/*")
    assert kept not in made
    assert (kept.parents[1] / "refs" / "main").read_text() == kept.name

    become_server(["base"], "127.0.0.1", 9, only_print=True)
    assert "without a key" not in capsys.readouterr().err
    assert [path.parts[-3] for path in project.glob(".cache/merged/*/refs/main")] == ["models--base"]
    _, errors = printed()
    assert "merging" not in errors


def test_without_either_server_it_says_what_to_install(project, capsys, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setattr("luau_rft.model.serve.SERVER_PACKAGES", ("openai", "a_package_that_nobody_has"))
    with pytest.raises(
        UserError, match=r"\(a_package_that_nobody_has is missing\); run `pip install 'luau_rft\[serve\]'`"
    ):
        become_server(["sft"], "127.0.0.1", 0, only_print=True)
    assert capsys.readouterr().out == ""


def test_with_vllm_it_becomes_vllm_with_both_adapters(project, tmp_path):
    program = tmp_path / "vllm"  # stands in for vLLM's command: it says how it was called
    program.write_text(f"#!{sys.executable}\nimport os, sys\nprint(os.getpid(), *sys.argv)\n")
    program.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    base = model_folder(read_record(project / "models" / "base.json"))
    expected = (
        f"serve {base} --served-model-name base --enable-lora --lora-modules sft=models/sft rft=models/rft "
        "--max-lora-rank 64 --max-loras 2 --host 127.0.0.1 --port 8000\n"
    )
    code, output, errors = outcome(project, "--print", path=path)
    assert (code, output) == (0, f"vllm {expected}")
    assert "serve: sft, rft at http://127.0.0.1:8000/v1 through vLLM" in errors

    process = serve(project, path=path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output, _ = process.communicate(timeout=60)
    assert output == f"{process.pid} {program} {expected}"  # the very process that was started


def test_vllm_gets_a_hub_model_by_name_and_commit(tiny_adapters):
    record = BaseRecord(
        source="hub", name="mistralai/Mistral-7B-Instruct-v0.3", license="apache-2.0", hub=HubSource(),
        revision="c170c708", files={},
    )  # fmt: skip
    assert vllm_arguments(record, {"base": None}) == [
        "serve", "mistralai/Mistral-7B-Instruct-v0.3", "--revision", "c170c708", "--tokenizer-revision", "c170c708",
        "--served-model-name", "base",
    ]  # fmt: skip
    arguments = vllm_arguments(record, {"base": None, "mine": tiny_adapters / "rft"})
    assert arguments[-6:] == [
        "--lora-modules", f"mine={tiny_adapters / 'rft'}", "--max-lora-rank", "64", "--max-loras", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--model", "models/gone"),
            "models/gone/adapter_config.json: missing, so models/gone is no adapter; `dvc repro`",
        ),
        (("--model", "sft", "--model", "other/sft"), "--model other/sft: sft is served already; rename one"),
        (("--model", "models/a--b"), "--model models/a--b: its name is what clients ask for"),
    ],
)
def test_what_cannot_be_served_is_told(project, arguments, message):
    code, output, errors = outcome(project, *arguments)
    assert (code, output) == (1, "")
    assert f"error: {message}" in errors


def test_before_the_first_run_it_says_what_makes_the_models(tmp_path):
    code, _, errors = outcome(tmp_path)
    assert code == 1
    assert "error: models/base.json: no such file; `dvc repro` makes it, `dvc pull` fetches it" in errors
