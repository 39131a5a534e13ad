"""What may come over the wire of ``luau-rft mcp``, and what may not: garbage, other programs, web pages."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import httpx2
import pytest

from tests.studio.mcp_session import COMMAND, HANGS, ROOT, TOKEN, http_server, request, spoken, until, workers


def test_lines_that_are_no_messages_do_not_end_the_server():
    deep = b"[" * 50_000 + b"\n"
    garbage = [
        b"hello\n",
        b"\xff\xfe\x00\n",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        deep,
        b'{"jsonrpc": "2.0", "id": []}\n',
    ]
    said = spoken(
        [
            *garbage,
            request(7, "no/such/method"),
            request(8, "tools/call", name=["score_luau"], arguments="x"),
            b'{"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "score_luau", '
            b'"arguments": {"code": "\\ud800"}}}\n',
            request(10, "tools/call", name="score_luau", arguments={"code": "print('\u0000\u202e')"}),
            request(11, "ping"),
        ],
        wait_for=11,
    )
    answers = {message.get("id"): message for message in said}
    assert "error" in answers[7]
    assert "error" in answers[8]
    assert 0 <= answers[10]["result"]["structuredContent"]["composite"] < 1
    assert answers[11]["result"] == {}


@pytest.mark.parametrize("goes", ["closes", "terminates", "interrupts"])
def test_a_server_whose_client_goes_leaves_nothing_running(goes):
    process = subprocess.Popen(
        [COMMAND, "mcp", "--project", str(ROOT)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    client = {"name": "tests", "version": "1"}
    process.stdin.write(request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client))
    process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
    process.stdin.write(request(1, "tools/call", name="run_luau", arguments={"code": HANGS, "seconds": 600}))
    process.stdin.flush()
    until(workers)
    if goes == "closes":
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM if goes == "terminates" else signal.SIGINT)
    assert process.wait(30) == {"closes": 0, "terminates": 143, "interrupts": 130}[goes]
    assert b"Traceback" not in process.stderr.read()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    until(lambda: not workers())


def test_a_server_over_http_that_ends_leaves_nothing_running():
    with http_server([], {}) as url:
        body = request(1, "tools/call", name="run_luau", arguments={"code": HANGS, "seconds": 600})
        call = threading.Thread(target=alone, args=(url, body))
        call.start()
        until(workers)
    call.join(20)
    assert not call.is_alive()
    until(lambda: not workers())


def alone(url, body):
    """Send a request of the age that needs no session; what is answered does not matter."""
    message = json.loads(body)
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in (
        ("protocolVersion", "2026-07-28"), ("clientCapabilities", {}), ("clientInfo", {"name": "t", "version": "1"}),
    )}  # fmt: skip
    message["params"]["_meta"] = meta
    headers = {
        "Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"], "Mcp-Name": message["params"]["name"],
    }  # fmt: skip
    with contextlib.suppress(httpx2.HTTPError):
        httpx2.post(url, json=message, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def url():
    with http_server([], {}) as url:
        yield url


def post(url, **headers):
    sent = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    client = {"name": "web page", "version": "1"}
    body = request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    return httpx2.post(url, content=body, headers={name: value for name, value in sent.items() if value is not None})


def test_http_with_the_token_is_answered(url):
    assert post(url).status_code == 200


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_http_without_the_token_is_refused(url, given):
    refused = post(url, Authorization=given and given.encode())
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert "LUAU_RFT_MCP_TOKEN" in refused.text
    assert TOKEN not in refused.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example"]
)
def test_another_host_name_is_refused(url, host):
    assert post(url, Host=host).status_code == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:3000", "null", "http://localhost"])
def test_a_web_page_is_refused(url, origin):
    assert post(url, Origin=origin).status_code == 403
    preflight = httpx2.request("OPTIONS", url, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 401
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


def test_a_form_or_a_body_without_end_is_refused(url):
    assert post(url, Content_Type="text/plain").status_code == 400
    assert post(url, Content_Type="application/x-www-form-urlencoded").status_code == 400
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    assert httpx2.post(url, content=b"x" * (5 * 2**20), headers=headers).status_code == 413


def refused(*arguments, **environment):
    done = subprocess.run(
        [COMMAND, "mcp", *arguments], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_what_keeps_the_server_from_starting_is_told(url, tmp_path):
    port = url.split(":")[2].split("/")[0]
    assert f"--port {port}" in refused("--http", "--port", port)
    assert "LUAU_RFT_MCP_TOKEN" in refused("--http", LUAU_RFT_MCP_TOKEN="short")
    assert "--project" in refused("--project", str(tmp_path / "gone"))


def test_a_missing_package_is_named():
    script = (
        "import sys; sys.modules['mcp'] = None; sys.argv = ['luau-rft', 'mcp']; from luau_rft.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr
