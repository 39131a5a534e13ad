"""Presets of ``params.yaml``."""

import shutil

import pytest
from ruamel.yaml import YAML

from luau_rft import profile
from luau_rft.errors import UserError
from tests.project import ROOT


@pytest.fixture
def params(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def leaves(node, prefix=()):
    if not isinstance(node, dict):
        return {prefix: node}
    return {key: value for name, child in node.items() for key, value in leaves(child, (*prefix, name)).items()}


def content(path):
    return leaves(YAML(typ="safe").load(path))


def test_every_profile_sets_the_same_keys_so_that_any_follows_any():
    keys = {name: set(content(profile.FOLDER / f"{name}.yaml")) for name in profile.profiles()}
    assert set(keys) == {"embedded", "tiny", "mistral-7b"}
    assert keys["tiny"] == keys["embedded"] == keys["mistral-7b"]


def test_the_committed_params_are_the_embedded_profile(params):
    before = params.read_bytes()
    assert profile.apply("embedded", params) == ""
    assert params.read_bytes() == before


@pytest.mark.parametrize("name", ["tiny", "mistral-7b"])
def test_a_profile_changes_its_values_and_nothing_else_and_back(params, name):
    before, text = content(params), params.read_text()
    diff = profile.apply(name, params)
    wanted = content(profile.FOLDER / f"{name}.yaml")
    assert content(params) == before | wanted
    assert [line.split("#")[1:] for line in params.read_text().splitlines()] == [
        line.split("#")[1:] for line in text.splitlines()
    ]
    changed = sum(before[key] != value for key, value in wanted.items())
    assert sum(line.startswith("+ ") for line in diff.splitlines()) == changed
    profile.apply("embedded", params)
    assert params.read_text() == text


def test_mistakes(params):
    with pytest.raises(UserError, match="huge: no such profile; the profiles are embedded"):
        profile.apply("huge", params)
    params.write_text("base: {}\n")
    with pytest.raises(UserError, match=r"params.yaml: base: source is missing"):
        profile.apply("tiny", params)
    text = (profile.FOLDER.parents[1] / "params.yaml").read_text()
    assert "sources: [npm, directory]" in text
    split = text.replace("sources: [npm, directory]", "sources:\n    - npm\n    - directory")
    params.write_text(split)
    with pytest.raises(UserError, match=r"params.yaml: .* no line of its own"):
        profile.apply("tiny", params)
    assert params.read_text() == split
