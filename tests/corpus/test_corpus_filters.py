import pytest

from luau_rft.corpus.dedup import repeats
from luau_rft.corpus.filters import (
    Bounds,
    Example,
    Facts,
    density_reason,
    is_permissive,
    kind_reason,
    length_reason,
    license_reason,
    roblox_reason,
    syntax_reason,
)
from luau_rft.corpus.source import SourceFile

BOUNDS = Bounds(
    min_tokens=10,
    max_tokens=100,
    min_comment_share=0.02,
    max_comment_share=0.6,
    min_functions=2,
    max_functions=60,
    min_roblox_signals=1,
)
CODE = """-- Paints every part of a model.
local function paint(model, color)
	for _, part in model:GetDescendants() do
		if part:IsA("BasePart") then
			part.Color = color
		end
	end
end

return paint
"""


def example(code=CODE, path="src/Paint.luau", license="MIT", tokens=50):
    return Example(SourceFile("npm", "paint@1.0.0", path, license, code), code, tokens)


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("MIT", True), ("mit", True), ("Apache-2.0", True), ("Apache 2.0", True), ("ISC", True), ("BSD-3-Clause", True),
        ("(MIT OR GPL-3.0)", True), ("GPL-3.0", False), ("MIT AND GPL-3.0", False), ("UNLICENSED", False),
        ("GPL-3.0 AND (MIT OR ISC)", False), ("(MIT OR ISC) AND GPL-3.0", False), ("(MIT OR GPL-3.0) AND ISC", True),
        ("MIT)", False), ("SEE LICENSE IN LICENSE.md", False), ("MITRE", False), ("", False),
    ],
)  # fmt: skip
def test_only_permissive_licences_pass(license, expected):
    assert is_permissive(license) is expected
    assert (license_reason(example(license=license), BOUNDS) is None) is expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("src/Paint.luau", None),
        ("src/Contest.luau", None),
        ("src/SpecialEffects.luau", None),
        ("src/Paint.spec.lua", "test code"),
        ("src/__tests__/Paint.lua", "test code"),
        ("tests/Paint.lua", "test code"),
        ("src/Paint.story.lua", "test code"),
        ("src/Paint.stories.luau", "test code"),
        ("src/Paint.d.luau", "declaration or data"),
        ("Cmdr/BuiltInCommands/Admin/kick.lua", "declaration or data"),
        ("node_modules/other/init.lua", "declaration or data"),
    ],
)
def test_tests_and_data_are_told_by_their_path(path, reason):
    assert kind_reason(example(path=path), BOUNDS) == reason


@pytest.mark.parametrize(
    "line",
    ["-- Compiled with roblox-ts v2.1.0", "local TS = _G[script]", "-- This file is auto-generated.", "-- DO NOT EDIT"],
)
def test_generated_code_is_told_by_its_text(line):
    assert kind_reason(example(f"{line}\n{CODE}"), BOUNDS) == "generated code"


@pytest.mark.parametrize(("tokens", "reason"), [(9, "too short"), (10, None), (100, None), (101, "too long")])
def test_length_is_bounded_in_tokens(tokens, reason):
    assert length_reason(example(tokens=tokens), BOUNDS) == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CODE, None),
        ("local x: { [string]: typeof(game) } = {}\nx.a += 1\nreturn `{x}`", None),
        ("def paint(model):\n    return model", "does not compile"),
        ("return '\ufffd'", "not UTF-8 text"),
        ("return 1 -- \0", "not UTF-8 text"),
    ],
)
def test_the_real_compiler_decides_what_is_luau(code, reason):
    assert syntax_reason(example(code), BOUNDS) == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CODE, None),
        (CODE.split("\n", 1)[1], "too few comments"),
        ("-- " + "very " * 200 + "long\n" + CODE, "too many comments"),
        ("-- A list of colours.\nreturn {\n" + "\t'red',\n" * 100 + "}\n", "too few functions"),
    ],
)
def test_density_leaves_out_what_is_hardly_code(code, reason):
    assert density_reason(example(code), BOUNDS) == reason


def test_roblox_signals_are_counted_in_code_only():
    assert roblox_reason(example("-- workspace\nlocal s = 'Instance'\nreturn s"), BOUNDS) == "no Roblox API"
    assert roblox_reason(example("return workspace"), BOUNDS) is None


def test_facts_of_a_program():
    facts = Facts.of("-- 12345\nlocal x = require(script.Parent.x)\n\nreturn function() end\n")
    assert facts.functions == 50  # one function in two lines of code
    assert facts.roblox_signals == 0
    assert not facts.standalone
    assert Facts.of(CODE).standalone
    assert Facts.of("").functions == 0


def test_repeats_tell_exact_from_near():
    body = "\n".join(f"\tresult = combine(result, values[{i}], {i})" for i in range(40))
    original = f"local function total(values)\n\tlocal result = 0\n{body}\n\treturn result\nend\nreturn total"
    copies = [
        original,
        "-- With a comment.\n" + original.replace("\t", "  "),
        original.replace("values[7]", "values[8]"),
        original.replace("combine", "separate").replace("values", "items").replace("result", "outcome"),
    ]
    assert repeats(copies, threshold=0.8, seed=0) == [None, "exact duplicate", "near duplicate", None]
    assert repeats(copies, threshold=1.0, seed=0) == [None, "exact duplicate", None, None]
    assert repeats([], threshold=0.8, seed=0) == []
