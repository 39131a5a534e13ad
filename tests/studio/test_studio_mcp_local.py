"""``luau-rft mcp`` with a model on this machine."""

import threading

import anyio
import pytest
from mcp import Client

from luau_rft.agent_command import Options
from luau_rft.model.chat import LocalChat, open_local
from luau_rft.studio import mcp as server_module
from tests.model.conftest import real_record, tiny_adapters, tiny_folder, tiny_record, tokenizer  # noqa: F401
from tests.studio.mcp_session import request, spoken


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_a_local_model_stops_between_two_tokens(tiny_adapters, monkeypatch):  # noqa: F811
    ended = threading.Event()
    counts: list[int] = []

    class Counting(LocalChat):
        def stream(self, messages, seed):
            counts.append(0)
            try:
                for piece in super().stream(messages, seed):
                    counts[-1] += 1
                    yield piece
            finally:
                ended.set()

    monkeypatch.chdir(tiny_adapters.parent)
    chat = open_local("sft", max_tokens=1500)
    chat.__class__ = Counting
    monkeypatch.setattr(server_module, "open_chat", lambda options: chat)

    async def told(progress, total, message) -> None:
        if "written" in message:
            group.cancel_scope.cancel()

    async with Client(server_module.build(Options())) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(
                lambda: client.call_tool("generate_luau", {"wish": "A door", "rounds": 0}, progress_callback=told)
            )
        assert await anyio.to_thread.run_sync(ended.wait, 30)
    assert len(counts) == 1
    assert 0 < counts[0] < 1400


def test_a_local_model_writes_and_stdout_is_the_protocol(tiny_adapters, tmp_path):  # noqa: F811
    said = spoken(
        [
            request(1, "tools/call", name="generate_luau", arguments={"wish": "A door", "rounds": 1, "seed": 3}),
            request(2, "tools/call", name="run_luau", arguments={"code": "print(1)"}),
        ],
        "--project", str(tiny_adapters.parent), "--model", "rft", "--max-tokens", "24",
    )  # fmt: skip
    answers = {message["id"]: message["result"] for message in said}
    assert answers[1]["isError"] is False
    assert answers[1]["structuredContent"]["model"] == "rft"
    assert answers[2]["structuredContent"]["output"] == ["1"]
