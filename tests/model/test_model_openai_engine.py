"""The engine against a real server on the loopback that speaks the chat API and fails on demand."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from polars.testing import assert_frame_equal
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model.base import ModelParams, write_record
from luau_rft.model.engines.base import SamplingParams
from luau_rft.model.engines.openai import OpenAIParams
from luau_rft.model.generate import generate
from luau_rft.model.prompt import SYSTEM_PROMPT
from luau_rft.tasks import Requires, Task

ROOT = Path(__file__).parents[2]
FP32 = ModelParams(dtype="float32", quantization="none")
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=12, stop=["--end"], seed=0)
KEY = "sk-secret-of-this-test"


def completion(body: dict, **changes) -> JSONResponse:
    """An answer that the request alone determines."""
    text = f"-- {body['messages'][-1]['content']} {body['seed']}"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | changes
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
    whole = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
    return JSONResponse(whole | {"usage": usage})


async def dropped(scope, receive, send) -> None:
    """The connection breaks in the middle of the answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
    raise ConnectionError


def refused(status: int, message: str, **headers: str) -> Callable[[dict], JSONResponse]:
    return lambda body: JSONResponse({"error": {"message": message}}, status, headers)


async def too_late(body: dict) -> JSONResponse:
    await asyncio.sleep(5)
    return completion(body)


FAULTS = {
    "retry-after": refused(429, "slow down", **{"retry-after-ms": "20"}),
    "server error": refused(500, "out of memory"),
    "dropped": lambda body: dropped,
    "no choices": lambda body: JSONResponse({"id": "1", "object": "chat.completion", "choices": []}),
    "no text": lambda body: completion(body, message={"role": "assistant", "content": None}),
}


@dataclass
class Server:
    """``fault(n)`` names what becomes of the request number ``n``, counted from 0."""

    url: str = ""
    fault: Callable[[int], Callable | None] = lambda n: None
    delay_s: float = 0.0
    models: tuple[str, ...] | None = ("mistral-sft", "mistral-rft")
    asked: list[dict] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    flying: int = 0
    most_flying: int = 0

    async def chat(self, request):
        body = await request.json()
        fault = self.fault(len(self.asked))
        self.asked.append(body)
        self.keys.add(request.headers["authorization"])
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await asyncio.sleep(self.delay_s)
        self.flying -= 1
        response = fault(body) if fault else completion(body)
        return await response if asyncio.iscoroutine(response) else response

    async def listing(self, request):
        if self.models is None:
            return PlainTextResponse("not found", 404)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})


@pytest.fixture
def server():
    scripted = Server()
    app = Starlette(routes=[Route("/v1/chat/completions", scripted.chat, methods=["POST"]),
                            Route("/v1/models", scripted.listing)])  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    scripted.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    yield scripted
    running.should_exit = True
    thread.join(timeout=10)
    listener.close()
    assert not thread.is_alive()


def task(name: str) -> Task:
    return Task(
        id=name, title=name, prompt=f"Build {name}", category="ui", difficulty="easy", kind="module",
        requires=Requires(), reference="", checks="",
    )  # fmt: skip


TASKS = [task("a"), task("b"), task("c"), task("d")]


@pytest.fixture
def answer(server, tiny_record, tiny_adapters, tmp_path, monkeypatch):
    """Generate with the SFT adapter's name, two requests in flight."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def run(samples=2, output=tmp_path / "train" / "candidates.parquet", adapter=tiny_adapters / "sft", **changes):
        names = {"base": "mistral", "sft": "mistral-sft", "rft": "mistral-rft"}
        values = {"url": server.url, "models": names, "concurrency": 2, "timeout_s": 30, "retries": 0} | changes
        return generate(
            TASKS, samples, tiny_record, output, sampling=SAMPLING, engine="openai",
            engine_params=OpenAIParams.model_validate(values), model_params=FP32, adapter=adapter,
        )  # fmt: skip

    return run


def test_asks_for_every_candidate_with_the_same_words_and_sampling(answer, server, capsys):
    server.delay_s = 0.05
    frame = answer(concurrency=3)
    assert len(frame) == len(server.asked) == 8
    assert server.most_flying == 3
    assert server.keys == {f"Bearer {KEY}"}
    seeds = {body.pop("seed") for body in server.asked}
    assert seeds == set(frame["seed"])
    for body in server.asked:
        task = body["messages"][1]["content"]
        assert body == {
            "model": "mistral-sft", "temperature": 0.8, "top_p": 0.95, "max_tokens": 12, "stop": ["--end"],
            "messages": [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": task}],
        }  # fmt: skip
    assert {body["messages"][1]["content"] for body in server.asked} == {task.prompt for task in TASKS}
    assert list(frame["text"]) == [f"-- Build {row['task_id']} {row['seed']}" for row in frame.iter_rows(named=True)]
    assert set(frame["tokens"]) == {7}
    assert "8 candidates, tokens: 96/96" in capsys.readouterr().out


def test_only_the_missing_is_asked_for(answer, server, tiny_adapters):
    first = answer(samples=1)
    grown = answer(samples=2)
    assert len(server.asked) == 8
    assert_frame_equal(grown.filter(grown["index"] == 0), first)
    assert_frame_equal(answer(samples=2, url="http://127.0.0.1:9/v1"), grown)  # the address is nothing of a row
    answer(samples=2, adapter=tiny_adapters / "rft")
    assert len(server.asked) == 16
    assert server.asked[-1]["model"] == "mistral-rft"


def test_finish_reasons_and_answers_without_a_text(answer, server):
    ends = [
        {"finish_reason": "length"},
        {"finish_reason": "length", "message": {"role": "assistant", "content": None}},
        {"finish_reason": "content_filter", "message": {"role": "assistant", "content": None}},
        {"finish_reason": "stop", "message": {"role": "assistant", "content": ""}},
    ]
    server.fault = lambda n: lambda body: completion(body, **ends[n])
    frame = answer(samples=1, concurrency=1).sort("finish_reason", "text")
    assert list(frame["finish_reason"]) == ["length", "length", "stop", "stop"]
    assert [bool(text) for text in frame["text"]] == [False, True, False, False]


def test_tokens_are_counted_where_the_server_does_not(answer, server, tokenizer):
    def bare(body: dict) -> JSONResponse:
        return JSONResponse(json.loads(completion(body).body) | {"usage": None})

    server.fault = lambda n: bare
    frame = answer(samples=1)
    assert list(frame["tokens"]) == [len(tokenizer(text)["input_ids"]) for text in frame["text"]]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_once_is_asked_again(answer, server, fault, tmp_path):
    server.fault = lambda n: FAULTS[fault] if n == 1 else None
    frame = answer(samples=1, retries=1)
    assert len(server.asked) == 5
    server.fault = lambda n: None
    assert_frame_equal(answer(samples=1, output=tmp_path / "undisturbed.parquet"), frame)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            refused(401, f"no such key {KEY}"),
            r"url: .* refused the key \(.*no such key \*\*\*.*set the variable OPENAI_",
        ),
        (refused(404, "unknown model"), r"models\.sft: .* has no model mistral-sft, only gpt-oss, llama \(.*unknown"),
        (refused(400, "top_p is unknown"), r"url: .* failed with HTTP 400 \(.*top_p is unknown.*answered is kept"),
        (FAULTS["retry-after"], r"concurrency: .* refuses so many requests \(.*slow down.*lower it"),
        (FAULTS["server error"], r"url: .* failed with HTTP 500 \(.*out of memory"),
        (FAULTS["dropped"], r"url: no connection to .* \(.+\); start the server"),
        (too_late, r"timeout_s: .* gave no answer within 0\.5 s"),
        (FAULTS["no choices"], r"url: .* without a text, 1 times .*task \w, sample 0.*choices=\[\]"),
        (FAULTS["no text"], r"url: .* without a text, 1 times .*content=None"),
        (lambda body: HTMLResponse("<p>Welcome"), r"url: .* without a text, 1 times .*<p>Welcome"),
        (lambda body: PlainTextResponse("{", media_type="application/json"), r"url: .* does not speak OpenAI's chat"),
    ],
)
def test_a_failure_is_told_and_what_was_answered_is_kept(answer, server, fault, message, tmp_path, monkeypatch):
    server.fault = lambda n: fault if n == 2 else None
    server.models = ("gpt-oss", "llama") if "models" in message else ("mistral-sft",)
    with pytest.raises(UserError, match=message) as raised:
        answer(samples=1, timeout_s=0.5)
    assert KEY not in str(raised.value)
    asked = len(server.asked)
    kept = tables.read(tmp_path / "train" / "candidates.parquet", "candidates")
    assert len(kept) == asked - 1 < 4  # one failed, and none was asked for after it failed
    server.fault = lambda n: None
    assert len(answer(samples=1)) == 4
    assert len(server.asked) == asked + 4 - len(kept)


def test_no_server_and_a_wrong_address(answer, server, tmp_path):
    with pytest.raises(
        UserError, match=r"openai\.url: no connection to .*:9/v1 \(.+\); start the server, with `luau-rft"
    ):
        answer(url="http://127.0.0.1:9/v1")
    assert not (tmp_path / "train" / "candidates.parquet").exists()
    with pytest.raises(UserError, match=r"openai\.url: .*/api has no chat API .*most addresses end in /v1"):
        answer(url=server.url.replace("/v1", "/api"))


def test_an_adapter_without_a_served_name(answer, tiny_adapters, tmp_path):
    (tmp_path / "mine").symlink_to(tiny_adapters / "sft")
    with pytest.raises(UserError, match=r"openai\.models: has no name for .*mine"):
        answer(adapter=tmp_path / "mine")


def test_a_killed_run_asks_only_for_the_missing(answer, server, tiny_record, tmp_path):
    project = tmp_path / "project"
    for letter in "abcd":
        folder = project / "data" / "tasks" / "train" / letter
        folder.mkdir(parents=True)
        (folder / "task.yaml").write_text(
            f"id: {letter}\ntitle: t\nprompt: Build {letter}\ncategory: ui\ndifficulty: easy\nkind: module\n"
            "requires: {}\n"
        )
        (folder / "reference.luau").write_text("return 1\n")
        (folder / "checks.luau").write_text("return {}\n")
    write_record(tiny_record, project / "models" / "base.json")
    (project / "params.yaml").write_text(
        "model: {dtype: float32, quantization: none}\ntasks: {train: null, eval: null}\ngenerate:\n"
        "  engine: openai\n  samples: {train: 4, eval: 1}\n"
        f"  openai: {{url: '{server.url}', models: {{base: tiny, sft: sft, rft: rft}}, concurrency: 2, timeout_s: 30,"
        " retries: 2}\n  sampling: {temperature: 0.8, top_p: 0.95, max_new_tokens: 12, stop: [--end], seed: 0}\n"
    )

    def stage() -> subprocess.Popen:
        command = [sys.executable, "-m", "stages.generate", "train", "models/base.json"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True)

    server.delay_s = 0.1
    killed = stage()
    while len(server.asked) < 7:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    table = project / "data" / "train" / "candidates.parquet"
    kept = tables.read(table, "candidates")
    assert 0 < len(kept) < 16

    server.asked.clear()
    resumed = stage()
    output, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, output
    assert len(server.asked) == 16 - len(kept)
    rows = tables.read(table, "candidates")
    assert_frame_equal(rows.filter(rows["key"].is_in(kept["key"].to_list())), kept)
    assert list(rows["text"]) == [f"-- Build {row['task_id']} {row['seed']}" for row in rows.iter_rows(named=True)]
