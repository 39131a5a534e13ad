"""Presets of ``params.yaml``."""

import ast
import importlib
import shutil

import pytest
from ruamel.yaml import YAML

from luau_rft import profile
from luau_rft.config import SECTIONS, load
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


def sections_of_stages():
    """Every section that a stage loads, and its schema."""
    names = {"name": ["sft", "rft"], "model": ["sft", "rft"], "engine": ["transformers", "vllm", "openai", "ray"]}
    for path in sorted((ROOT / "stages").glob("*.py")):
        if path.stem == "__init__":
            continue
        known = vars(importlib.import_module(f"stages.{path.stem}"))
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or ast.unparse(call.func) != "load":
                continue
            free = {name.id for name in ast.walk(call.args[0]) if isinstance(name, ast.Name)}
            [(variable, values)] = [(name, names[name]) for name in free] or [("", [None])]
            for value in values:
                section, schema = (eval(ast.unparse(part), known | {variable: value}) for part in call.args)
                yield section, schema


@pytest.mark.parametrize("name", profile.profiles())
def test_every_stage_can_read_its_sections(params, name):
    profile.apply(name, params)
    found = dict(sections_of_stages())
    assert {section.split(".")[0] for section in found} <= set(SECTIONS)
    assert {"base", "collect", "filter", "train.sft", "train.rft", "train.lora", "generate.vllm"} <= found.keys()
    for section, schema in found.items():
        load(section, schema, params)


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
