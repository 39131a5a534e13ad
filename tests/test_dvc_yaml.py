"""``dvc.yaml`` against the code: dependencies and params are what the scripts really use."""

import ast

import pytest
import yaml

from tests.closure import ROOT, closure

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def definition(name: str) -> dict:
    return STAGES[name].get("do", STAGES[name])


def test_every_stage_has_its_script_and_every_script_its_stage():
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_code_dependencies_equal_the_import_closure(name):
    declared = {dep for dep in definition(name)["deps"] if dep.startswith(("luau_rft/", "stages/"))}
    assert declared == closure(ROOT / "stages" / f"{name}.py")


@pytest.mark.parametrize("name", STAGES)
def test_the_params_that_a_stage_loads_are_declared(name):
    source = (ROOT / "stages" / f"{name}.py").read_text(encoding="utf-8")
    loaded = {
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", getattr(call.func, "attr", "")) == "load"
        and isinstance(call.args[0], ast.Constant)
    }
    declared = set(definition(name).get("params", []))
    for section in loaded:
        assert any(param == section or param.startswith(f"{section}.") for param in declared), section


def test_package_initialisers_hold_no_code():
    for path in [*ROOT.glob("luau_rft/**/__init__.py"), *ROOT.glob("stages/__init__.py")]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), path
