import time

import pytest

from luau_rft.corpus.comments import description, prose, without_documentation_markup, without_license

MIT = """--[[
	MIT License
	Copyright (c) 2020 Somebody

	Permission is hereby granted, free of charge, to any person ...
]]
"""


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Opens the door.", "Opens the door."),
        ("Opens the door. Closes it again. Locks it.", "Opens the door. Closes it again."),
        ("\n\tPlots a path\n\tthrough the maze.\n\n\tA second paragraph.", "Plots a path through the maze."),
        ("@class Maid\n\nManages the cleaning of events.", "Manages the cleaning of events."),
        ("Gets the `value` of [Maid.key].\n@param key string -- The key.\n@return any", "Gets the value of Maid.key."),
        ("@param key The key\n that continues.\n\nGets the value.", "Gets the value."),
        (
            "# Usage\n\n```lua\nlocal x = 1\n```\n\nReads [the guide](https://example.org) aloud.",
            "Reads the guide aloud.",
        ),
        ("Author: Somebody Important\n\nSpins the wheel slowly.", "Spins the wheel slowly."),
        ("Written by @somebody on 1/2/2020. Spins the wheel slowly.", "Spins the wheel slowly."),
        ("local part = script.Parent\n\nMoves the part up.", "Moves the part up."),
        ("=====================\nDoor", None),
        ("TODO: write this module", None),
        ("https://example.org/some/page of the guide", None),
        ("", None),
    ],
)
def test_prose_keeps_what_is_said_about_the_code(comment, expected):
    assert prose(comment) == expected


def test_long_prose_ends_with_a_sentence():
    assert prose(f"Counts the coins. Then {'very ' * 60}slowly sorts them.") == "Counts the coins."
    assert prose(f"Counts {'very ' * 60}slowly.") is None


def test_a_leading_licence_goes_and_the_description_stays():
    code = MIT + "--!strict\n-- Opens the door.\nlocal door = workspace.Door -- (c) is the third\n"
    assert without_license(code) == "--!strict\n-- Opens the door.\nlocal door = workspace.Door -- (c) is the third\n"


def test_a_licence_named_in_later_code_stays():
    code = "local x = 1\n-- Checks the driver's license.\nreturn x\n"
    assert without_license(code) == code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("--!strict\n-- Opens the door.\nreturn 1", "Opens the door."),
        (MIT + "\n--[[\n\tOpens the door.\n]]\nreturn 1", "Opens the door."),
        ("local A = {}\n--[=[\n\t@class A\n\n\tHolds all doors.\n]=]\nreturn A", "Holds all doors."),
        (
            "local At = require(x)\n--[=[\n\t@within A\n\n\tGets the first item.\n]=]\nfunction f() end\nreturn f",
            "Gets the first item.",
        ),
        (  # two documented functions: neither is what the module is about
            "local A = {}\n--- Gets the first item.\n--- @return any\nfunction A.f() end\n"
            "--- Gets the last item.\n--- @return any\nfunction A.l() end\nreturn A",
            None,
        ),
        ("local x = 1 -- Opens the door slowly.\nreturn x", None),
        ("return 1", None),
    ],
)
def test_description_finds_the_comment_that_is_about_the_whole_file(code, expected):
    assert description(code) == expected


def test_documentation_is_cut_down_to_its_prose_where_it_stands():
    code = (
        "local A = {}\n\n--[=[\n\tAdds a value.\n\n\t```lua\n\tA.add(1)\n\t```\n\n\t@param x number\n]=]\n"
        "function A.add(x)\n\t-- ROBLOX deviation: no 0\n\t-- Plain words stay.\n\treturn x + 1\nend\n\nreturn A"
    )
    assert without_documentation_markup(code) == (
        "local A = {}\n\n-- Adds a value.\nfunction A.add(x)\n\treturn x + 1\nend\n\nreturn A"
    )


@pytest.mark.parametrize(
    "code", ["-- Adds a value.\nreturn 1\n", "--[[ @param x ]] return 1", "return 1 -- @param", ""]
)
def test_other_comments_are_not_touched(code):
    assert without_documentation_markup(code) == code


@pytest.mark.parametrize(
    "code",
    ["--[[\n" + "-----------\n" * 40_000 + "]]\nreturn 1\n", "x=x+1;" * 100_000, '"\\' * 50_000],
    ids=["banner", "one line", "quotes"],
)
def test_the_time_grows_with_the_length_alone(code):
    before = time.process_time()
    assert without_documentation_markup(code) == code
    assert time.process_time() - before < 10  # a search anew from every line or token takes minutes
