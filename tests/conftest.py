"""Shared by all tests."""

from pathlib import Path

import pytest

from tests.project import Project, new_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which no stage has run."""
    return new_project(tmp_path / "project")
