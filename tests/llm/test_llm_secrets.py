"""The key is sent to the server and written nowhere, whatever goes wrong and however much is logged."""

import os
import subprocess
import sys

import pytest

from tests.project import ROOT

RUN = """
import sys
from luau_rft import errors
from luau_rft.llm.ask import ask
from luau_rft.llm.batches import Pace
from luau_rft.llm.claude import Claude
from luau_rft.store import Store
from tests.llm.questions import MODEL, questions, spending

def main():
    with Store() as store:
        provider = Claude(MODEL, Pace(retries=1, timeout_s=2.0, poll_s=0.02, settle_s=0.05))
        ask(questions(24), provider, store, spending(now=sys.argv[1] == "now"))
errors.run(main)
"""
KEY = "ANTHROPIC_API_KEY"
ECHO = "your key is {key}, and again {key}"


@pytest.mark.parametrize(
    ("variable", "mode", "where", "fault"),
    [
        (KEY, "now", None, {}),
        (KEY, "batch", None, {}),
        ("ANTHROPIC_AUTH_TOKEN", "now", "models", {"status": 401, "kind": "authentication_error"}),
        (KEY, "now", "messages", {"status": 400, "kind": "invalid_request_error"}),
        (KEY, "now", "messages", {"drop": True}),
        (KEY, "batch", "create", {"status": 500}),
        (KEY, "batch", "results", {"status": 404, "kind": "not_found_error"}),
        (KEY, "batch", "entry", {"result": "errored"}),
    ],
)
def test_no_output_and_no_file_holds_the_key(claude_server, tmp_path, variable, mode, where, fault):
    key = "sk-ant-api03-" + os.urandom(8).hex()
    echo = ECHO.format(key=key)
    if fault.get("result"):
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": echo}}
        fault = {"result": {"type": "errored", "error": error}}
    if where:
        claude_server.fail(where, times=999, message=echo, **fault)
    environment = {k: v for k, v in os.environ.items() if k not in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")}
    environment |= {variable: key, "ANTHROPIC_LOG": "debug", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "always"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, mode], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert key in claude_server.keys or where == "models"
    assert done.returncode == (1 if where else 0), done.stderr
    assert key not in done.stdout + done.stderr
    if where and where != "results" and "drop" not in fault:
        assert "your key is …, and again …" in done.stderr.splitlines()[-1]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert tmp_path / "answers.sqlite" in files
    for path in files:
        assert key.encode() not in path.read_bytes(), path
