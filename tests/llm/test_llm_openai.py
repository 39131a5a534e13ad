"""An OpenAI-compatible server in Claude's place: the openai SDK against a real server."""

import json
import threading

import pytest
import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from luau_rft.errors import UserError
from luau_rft.llm.ask import ask
from luau_rft.llm.base import Usage
from luau_rft.llm.batches import Pace
from luau_rft.llm.openai import OpenAI
from luau_rft.store import Store
from tests.llm.questions import FAST, RUBRIC, Verdict, prompt, question, questions, spending
from tests.servers.answers import by_schema


class Server:
    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.responses: list[Response] = []  # served first

    async def complete(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.responses:
            return self.responses.pop(0)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        text = json.dumps(by_schema(schema, b"seed")) if schema else "print(1)"
        return JSONResponse(completion(text))


def completion(text: str | None, finish: str = "stop", **message: object) -> dict:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "qwen",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 64},
        },
    }


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Server()
    app = Starlette(routes=[Route("/v1/chat/completions", state.complete, methods=["POST"])])
    uvicorn_server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=uvicorn_server.run, daemon=True)
    thread.start()
    while not uvicorn_server.started:
        thread.join(0.005)
    state.url = f"http://127.0.0.1:{uvicorn_server.servers[0].sockets[0].getsockname()[1]}/v1"
    yield state
    uvicorn_server.should_exit = uvicorn_server.force_exit = True
    thread.join(10)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        yield store


def test_it_answers_for_nothing_and_is_never_asked_in_batches(server, store):
    answers = ask(questions(30), OpenAI(server.url, "qwen", FAST), store, spending(budget_usd=0.0))
    assert all(Verdict.model_validate_json(a.text) for a in answers.values())
    assert answers["key0001"].usage == Usage(input=36, cache_read=64, output=7)
    assert store.spent() == 0
    assert len(server.bodies) == 30
    ask(questions(30), OpenAI(server.url, "qwen", FAST), store, spending())
    assert len(server.bodies) == 30


def test_a_budget_that_others_have_used_up_does_not_stop_what_is_free(server, store):
    store.charge("gold", "claude-sonnet-5-5", Usage(output=9), 3.0, "empty")
    assert len(ask(questions(3), OpenAI(server.url, "qwen", FAST), store, spending(budget_usd=1.0))) == 3


def test_the_request_holds_all_parts_and_the_schema(server, store, monkeypatch):
    ask([question(1)], OpenAI(server.url, "qwen", FAST), store, spending())
    [body] = server.bodies
    assert body["messages"] == [
        {"role": "system", "content": RUBRIC},
        {"role": "user", "content": "Task 0: open the door. \n\n" + prompt(1)},
    ]
    assert body["response_format"]["json_schema"]["schema"] == Verdict.model_json_schema()
    assert server.headers[0]["authorization"] == "Bearer none"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-local")
    ask([question(2, schema=None)], OpenAI(server.url, "qwen", FAST), store, spending())
    assert "response_format" not in server.bodies[1]
    assert server.headers[1]["authorization"] == "Bearer sk-local"


@pytest.mark.parametrize(
    "response",
    [
        JSONResponse({"error": {"message": "busy"}}, 503),
        JSONResponse({"error": {"message": "slow down"}}, 429, {"retry-after": "0.05"}),
        JSONResponse(completion("no JSON")),
        JSONResponse(completion("")),
        JSONResponse(completion(None)),
        JSONResponse({"choices": []}),
        Response("<html>", media_type="application/json"),
        JSONResponse(completion('{"functionality"', finish="length")),
    ],
)
def test_faults_are_asked_again(server, store, response):
    server.responses.append(response)
    assert ask([question(1)], OpenAI(server.url, "qwen", FAST), store, spending())["key0001"].status == "answered"
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "body", [completion(None, refusal="I do not do that"), completion("", finish="content_filter")]
)
def test_a_refusal_is_an_answer(server, store, body):
    server.responses.append(JSONResponse(body))
    assert ask([question(1)], OpenAI(server.url, "qwen", FAST), store, spending())["key0001"].status == "refused"


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (401, {"message": "bad key sk-secret"}, "does not accept the key in OPENAI_API_KEY .*bad key …"),
        (404, {"message": "no such model"}, "does not know qwen .*the server's URL in params.yaml"),
        (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, "may not spend any more"),
        (400, {"message": "context too long"}, "does not take a request for qwen .*context too long"),
    ],
)
def test_what_a_user_must_mend_is_told(server, store, monkeypatch, status, error, told):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server.responses += [JSONResponse({"error": error}, status) for _ in range(9)]
    with pytest.raises(UserError, match=told) as caught:
        ask([question(1)], OpenAI(server.url, "qwen", Pace(retries=0)), store, spending())
    assert "sk-secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_told(store):
    class Small(BaseModel):
        value: int

    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/v1 cannot be reached"):
        ask(
            [question(1, schema=Small)],
            OpenAI("http://127.0.0.1:9/v1", "qwen", Pace(retries=0, timeout_s=2.0)),
            store,
            spending(),
        )
