import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import naming


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("for _, p in f() do p:Destroy() end local h = g() h.Health = 0", []),
        ("local h = g()\n" + "\n" * 15 + "h.Health = 0", ["h"]),
        ("local i = g()\n" + "\n" * 15 + "i.Health = 0", []),
        ("local i = g()\n" + "\n" * 60 + "i.Health = 0", ["i"]),
        ("local e = React.createElement\n" + "\n" * 60 + "e('Frame')", []),
        ("local foo = 1 local tmp2 = foo", ["foo", "tmp2"]),
    ],
)
def test_a_name_may_be_as_short_as_its_life(source, names):
    assert [node.text for node, _ in naming.unclear_name(parse(source), None)] == names


def test_unused_typed_helpers_do_not_make_up_for_untyped_functions():
    source = "local function open(door, seconds) door:SetAttribute('Open', seconds) end open(workspace.Door, 3)\n"
    helpers = "local function add(a: number, b: number, c: number): number return a + b + c end\n" * 3
    assert list(naming.untyped(parse(source + helpers), None))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("local Knit = require(script.Knit) local Money = Knit.CreateService({}) local Store = Knit.Store.new()", []),
        ("local Shop = require(script.Shop).New(1)", []),
        ("local Door = Instance.new('Part') local Size = Vector3.new(1, 2, 3)", ["Door", "Size"]),
        ("local function make() end local Door = make()", ["Door"]),
    ],
)
def test_what_a_module_makes_may_be_a_class(source, names):
    assert [node.text for node, _ in naming.name_style(parse(source), None)] == names
