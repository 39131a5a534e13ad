"""Chats with a model on this machine and behind a server."""

import itertools

import pytest
from starlette.responses import HTMLResponse, JSONResponse

from luau_rft.errors import UserError
from luau_rft.model.base import ModelParams
from luau_rft.model.chat import LocalChat, ServedChat, _Text, messages, open_local, prompt_ids
from luau_rft.model.merge import merge
from luau_rft.model.prompt import SYSTEM_PROMPT, token_ids
from tests.servers.chat_server import ChatServer

FP32 = ModelParams(dtype="float32", quantization="none")
KEY = "sk-secret-of-this-test"
ASKED = messages("Build a door")
CORRECTED = messages("Build a door", "print(1)", "Put line 1 right")


def whole(stream):
    """The text and why it ended."""
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return "".join(pieces), end.value


def local(record, adapter=None, max_tokens=24, **options):
    return LocalChat(record, adapter, model_params=FP32, max_tokens=max_tokens, **options)


@pytest.fixture
def project(tiny_record, tiny_adapters, monkeypatch):
    """A project without params.yaml whose models are the tiny ones."""
    monkeypatch.chdir(tiny_adapters.parent)
    return tiny_adapters


def test_equal_seeds_give_equal_answers(tiny_record):
    chat = local(tiny_record)
    first, again, other = (whole(chat.stream(ASKED, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert first[1] == "length"  # a random model does not come to an end


def test_an_adapter_changes_the_answers(tiny_record, tiny_adapters):
    chats = [local(tiny_record), *(local(tiny_record, tiny_adapters / name) for name in ("sft", "rft"))]
    assert len({whole(chat.stream(ASKED, 1))[0] for chat in chats}) == 3
    assert [chat.name for chat in chats] == ["someone/tiny", "sft", "rft"]


def test_the_likeliest_tokens_are_those_of_transformers_own_generate(real_record, tokenizer):
    """The real model, greedily: text and end."""
    import torch

    from luau_rft.model.base import load_model

    chat = local(real_record, max_tokens=12, temperature=0.0)
    text, finish = whole(chat.stream(CORRECTED, 0))
    model = load_model(real_record, "float32")
    ids = torch.tensor([prompt_ids(tokenizer, CORRECTED)])
    with torch.inference_mode():
        output = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
    made = output[0, ids.shape[1] :]
    assert text == tokenizer.decode(made, skip_special_tokens=True) != ""
    assert finish == ("stop" if len(made) < 12 else "length")


def test_a_wish_is_put_as_in_training_and_a_second_question_in_the_models_template(tokenizer):
    assert prompt_ids(tokenizer, ASKED) == token_ids(tokenizer, "Build a door")
    text = tokenizer.decode(prompt_ids(tokenizer, CORRECTED))
    parts = [SYSTEM_PROMPT, "Build a door", "print(1)", "Put line 1 right"]
    assert [text.count(part) for part in parts] == [1, 1, 1, 1]
    assert sorted(parts, key=text.index) == parts
    assert text.endswith("<|im_start|>assistant\n")


def test_what_the_context_holds(tiny_record, tokenizer):
    chat = local(tiny_record, max_tokens=100)
    limit = chat._decoder.model.config.max_position_embeddings
    room = limit - 100 - len(prompt_ids(tokenizer, messages("")))
    assert chat.fits(messages(" a" * (room - 5)))
    assert not chat.fits(messages(" a" * (room + 50)))


def test_pieces_are_whole_characters_and_add_up(tokenizer):
    text = 'local café = "日本語 🎉" -- ½ tab\there\n\n  end  '
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = _Text(tokenizer)
    given = [pieces.add(token) for token in tokens]
    assert "".join([*given, pieces.rest()]) == tokenizer.decode(tokens) == text
    assert not any("\ufffd" in piece for piece in given)
    assert len([piece for piece in given if piece]) > 10
    cut = _Text(tokenizer)
    [first, *_] = tokenizer("🎉", add_special_tokens=False)["input_ids"]
    assert (cut.add(first), cut.rest()) == ("", "\ufffd")


def test_a_closed_stream_stops_the_model(tiny_record):
    chat = local(tiny_record, max_tokens=1000)
    stream = chat.stream(ASKED, 0)
    assert len(list(itertools.islice(stream, 3))) == 3
    stream.close()
    assert next(stream, None) is None


def test_names_and_folders_of_models(project, tiny_record, tmp_path, monkeypatch):
    assert [open_local(name).name for name in ("base", "sft", "rft", "models/sft")] == [
        "someone/tiny", "sft", "rft", "sft",
    ]  # fmt: skip
    assert open_local("rft").max_tokens == 256
    expected = whole(open_local("sft", 8).stream(ASKED, 1))
    merge(tiny_record, project / "sft", tmp_path / "in one", "bfloat16")
    monkeypatch.chdir(tmp_path)  # no models/base.json here: it lies beside the adapter
    assert whole(open_local(str(project / "sft"), 8).stream(ASKED, 1)) == expected
    merged = open_local(str(tmp_path / "in one"), 8)
    assert merged.name == "merged/in-one"
    assert len(whole(merged.stream(ASKED, 1))[0]) > 0
    with pytest.raises(UserError, match=r"--model rft: there is no folder models/rft; .*dvc repro.*--url"):
        open_local("rft")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"models/base\.json"):
        open_local("bare")


def test_params_say_how_long_answers_get(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "model: {dtype: float32, quantization: none}\n"
        "generate:\n  sampling: {temperature: 0.8, top_p: 0.95, max_new_tokens: 31, seed: 0}\n"
    )
    assert open_local(str(project / "sft")).max_tokens == 31
    assert open_local(str(project / "sft"), 5).max_tokens == 5
    (tmp_path / "params.yaml").write_text("model: {dtype: float32, quantization: none}\n")
    with pytest.raises(UserError, match=r"generate is missing"):
        open_local(str(project / "sft"))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer(lambda body: "print('é 🎉')\n", ["rft", "sft"]) as running:
        yield running


def served(server, **options):
    return ServedChat(server.url, retries=0, **options)


def test_a_server_streams(server):
    chat = served(server, max_tokens=99)
    pieces = list(chat.stream(CORRECTED, 5))
    assert pieces == ["print('", "é 🎉')\n"]
    [body] = server.bodies
    assert body == {
        "model": "rft", "messages": CORRECTED, "temperature": 0.7, "top_p": 0.95, "max_tokens": 99, "seed": 5,
        "stream": True,
    }  # fmt: skip
    assert server.keys == {f"Bearer {KEY}"}
    server.finish = "length"
    assert whole(chat.stream(ASKED, 0))[1] == "length"
    server.answer = lambda body: ""
    assert whole(chat.stream(ASKED, 0))[0] == ""
    server.answer = lambda body: "a\ud800b"
    assert "".join(chat.stream(ASKED, 0)) == "a?b"


def test_which_model_of_a_server(server):
    assert served(server, model="x").name == "x"
    assert [served(server).verbatim, served(server, model="x").verbatim] == [True, False]
    server.models = ["only"]
    assert served(server).name == "only"
    server.models = ["b", "a"]
    with pytest.raises(UserError, match=r"--model: name one of the models at .*: a, b"):
        _ = served(server).name
    server.models = None
    assert served(server).name == "rft"


def test_the_context_of_a_server_is_reckoned_where_it_is_given(server):
    assert served(server).fits(messages("a" * 10**6))
    chat = served(server, context=1000, max_tokens=500)
    assert chat.fits(messages("a" * 1200))
    assert not chat.fits(messages("a" * 1600))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (JSONResponse({"error": {"message": f"no such key {KEY}"}}, 401), r"refused the key \(.*\*\*\*.*OPENAI_API"),
        (JSONResponse({"error": {"message": "slow down"}}, 429), r"refuses so many requests .*slow down"),
        (JSONResponse({"error": {"message": "out of memory"}}, 500), r"failed with HTTP 500 .*out of memory"),
        (JSONResponse({"error": {"message": "unknown"}}, 404), r"--model: .* has no model mine, only rft, sft"),
        (HTMLResponse("<p>Welcome"), r"answered, but not in OpenAI's chat API"),
        (HTMLResponse("data: {\n\n", media_type="text/event-stream"), r"broke its answer off or does not speak"),
        (HTMLResponse('data: {"error": {"message": "the GPU is gone"}}\n\n', media_type="text/event-stream"),
         r"broke its answer off .*the GPU is gone"),
    ],
)  # fmt: skip
def test_a_failure_is_told(server, response, message):
    server.answer = lambda body: response
    with pytest.raises(UserError, match=message) as raised:
        list(served(server, model="mine" if "mine" in message else "rft").stream(ASKED, 0))
    assert KEY not in str(raised.value)
    assert "--url: " in str(raised.value) or "--model: " in str(raised.value)


def test_a_connection_that_breaks_or_is_not_there(server, monkeypatch):
    server.cut = 1
    stream = served(server).stream(ASKED, 0)
    assert next(stream) == "print('"
    with pytest.raises(UserError, match=r"--url: no connection to .* \(.+\); start the server"):
        list(stream)
    with pytest.raises(UserError, match=r"--url: no connection to http://127.0.0.1:9/v1 .*luau-rft serve"):
        list(ServedChat("http://127.0.0.1:9/v1", "rft", retries=0).stream(ASKED, 0))
    with pytest.raises(UserError, match=r"has no chat API .*most addresses end in /v1"):
        list(ServedChat(server.url.replace("/v1", "/api"), "rft", retries=0).stream(ASKED, 0))
    with pytest.raises(UserError, match=r"--url localhost:8000: is no address"):
        ServedChat("localhost:8000")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1\n")
    with pytest.raises(UserError, match=r"OPENAI_API_KEY: holds a character that no key has"):
        list(served(server).stream(ASKED, 0))
