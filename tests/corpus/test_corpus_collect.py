from itertools import pairwise
from pathlib import Path

import pytest

from luau_rft import config
from luau_rft.corpus.collect import CollectParams, collect
from luau_rft.errors import UserError

ROOT = Path(__file__).parents[2]
DOCUMENTED = """-- Counts {name} of the player.
local Players = game:GetService("Players")

local function count{name}(player: Player): number
	return player:GetAttribute("{name}") or {number}
end

Players.PlayerRemoving:Connect(count{name})
"""
NEEDS_OTHERS = """local other = require(script.Parent.other)

-- Hands {name} on.
return function(value)
	return other(value, "{name}", {number})
end
"""


def words(texts):
    return [len(text.split()) for text in texts]


def params(folder, **changes):
    section = config.load("collect", CollectParams, ROOT / "params.yaml").model_dump()
    section |= {"sources": ["directory"], "directory": {"path": str(folder), "license": "MIT"}, "near_duplicate": 1.0}
    bounds = section["bounds"] | {"min_tokens": 5, "max_tokens": 100}
    return CollectParams.model_validate(section | {"bounds": bounds} | changes)


@pytest.fixture
def folder(tmp_path):
    names = ["Coins", "Gems", "Keys", "Hats"]
    for number, name in enumerate(names):
        (tmp_path / f"{name}.luau").write_text(DOCUMENTED.format(name=name, number=number))
        (tmp_path / f"{name}-link.luau").write_text(NEEDS_OTHERS.format(name=name, number=number))
    (tmp_path / "again.luau").write_text("-- A copy.\n" + DOCUMENTED.format(name="Coins", number=0))
    (tmp_path / "broken.luau").write_text("local function count(player:\n\treturn\nend end end end")
    (tmp_path / "coins.spec.luau").write_text(DOCUMENTED.format(name="Tests", number=9))
    return tmp_path


def test_the_funnel_accounts_for_every_file(folder):
    rows, funnel = collect(params(folder), words)
    assert funnel["read"]["rows"] == 11
    assert funnel["kind"]["dropped"] == {"test code": 1}
    assert funnel["syntax"]["dropped"] == {"does not compile": 1}
    assert funnel["duplicates"]["dropped"] == {"exact duplicate": 1}
    assert len(rows) == funnel["budget"]["after"]["rows"] == 8
    steps = [step for name, step in funnel.items() if name != "read"]
    assert steps[0]["before"] == funnel["read"]
    for before, after in pairwise(steps):
        assert before["after"] == after["before"]
        assert before["before"]["rows"] - before["after"]["rows"] == sum(before["dropped"].values())
    assert funnel["budget"]["after"]["tokens"] == sum(words(row["code"] for row in rows))


def test_what_a_creator_asks_for_comes_first_when_the_budget_is_small(folder):
    (documented,) = words([DOCUMENTED.format(name="Coins", number=0)])
    rows, funnel = collect(params(folder, total_tokens=2 * documented), words)
    assert len(rows) == 2
    assert {row["path"] for row in rows} <= {"Coins.luau", "again.luau", "Gems.luau", "Keys.luau", "Hats.luau"}
    assert funnel["budget"]["dropped"] == {"over collect.total_tokens": 6}


def test_the_choice_depends_on_the_seed_alone(folder):
    def chosen(seed):
        return {row["id"] for row in collect(params(folder, total_tokens=45, seed=seed), words)[0]}

    assert chosen(0) == chosen(0)
    assert len({frozenset(chosen(seed)) for seed in range(8)}) > 1


def test_line_ends_and_licences_are_made_alike(tmp_path):
    code = "-- Copyright 2020 Somebody\r\n\r\n" + DOCUMENTED.format(name="Coins", number=0).replace("\n", "  \r\n")
    (tmp_path / "Coins.lua").write_bytes(code.encode())
    (row,), _ = collect(params(tmp_path), words)
    assert row["code"] == DOCUMENTED.format(name="Coins", number=0)
    assert (row["source"], row["package"], row["path"], row["license"]) == (
        "directory",
        tmp_path.name,
        "Coins.lua",
        "MIT",
    )


def test_files_that_are_not_utf8_are_dropped_and_counted(folder):
    (folder / "latin.lua").write_bytes(DOCUMENTED.format(name="Caf", number=1).encode() + b"-- caf\xe9\n")
    _, funnel = collect(params(folder), words)
    assert funnel["syntax"]["dropped"] == {"does not compile": 1, "not UTF-8 text": 1}


def test_nothing_left_is_said_with_the_reasons(folder):
    section = params(folder).model_dump()
    section["bounds"]["min_roblox_signals"] = 1000
    with pytest.raises(UserError, match=r"none of 11 files passed the filters, which dropped .*'roblox': 9"):
        collect(CollectParams.model_validate(section), words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("collect: {sources: [npm], total_tokens: 1, seed: 0}", "collect.bounds: missing"),
        ("collect: {sources: [cargo]}", "collect.sources.0: Input should be 'npm', 'hub' or 'directory'"),
        ("collect: {sources: []}", "collect.sources: List should have at least 1 item"),
        (
            "collect: {sources: [npm], near_duplicate: 1.5}",
            "collect.near_duplicate: Input should be less than or equal",
        ),
        ("collect: {sources: [npm], npm: {package: x}}", "collect.npm.package: unknown key"),
    ],
)
def test_impossible_params_are_named(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        config.load("collect", CollectParams, path)


def test_a_source_without_its_section_is_named(tmp_path):
    section = params(tmp_path).model_dump() | {"directory": None}
    with pytest.raises(ValueError, match=r"sources names directory, so the section collect\.directory must be there"):
        CollectParams.model_validate(section)
