"""Shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.project import Project, new_project

if TYPE_CHECKING:
    from tests.servers.anthropic_server import AnthropicServer


@pytest.fixture(autouse=True, scope="session")
def _no_store_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the paid answers of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUAU_RFT_STORE", str(tmp_path_factory.mktemp("store") / "answers.sqlite"))
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which no stage has run."""
    return new_project(tmp_path / "project")


@pytest.fixture
def claude_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[AnthropicServer]":
    """Claude's API on this machine, where the SDK finds it, with a store of its own."""
    from tests.servers.anthropic_server import AnthropicServer

    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    with AnthropicServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-of-the-tests")
        monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path / "anthropic"))
        monkeypatch.setenv("LUAU_RFT_STORE", str(tmp_path / "answers.sqlite"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
