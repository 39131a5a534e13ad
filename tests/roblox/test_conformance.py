"""The language and the platform as their public documentation describes them, told as small cases.

``conformance/language*.luau`` holds what Luau promises, ``conformance/roblox*.luau`` what Roblox does. A case is

    case("what is documented", function(place) return … end)

and holds if the function returns true; every case gets a place of its own. ``equal`` compares by value, ``fails`` wants
the error message word for word (without the script's name and line), ``mentions`` a part of it.
"""

import re
from pathlib import Path

import pytest

from luau_rft.luau.sandbox import Limits, Program, Sandbox

FILES = sorted(Path(__file__).with_name("conformance").glob("*.luau"))

# Kept on one line, so that messages tell the lines of the file.
HELPERS = """
local cases = {}
local function case(name, run) table.insert(cases, { name, run }) end
local function shown(value)
    if typeof(value) ~= "table" then return if type(value) == "string" then `"{value}"` else tostring(value) end
    local parts = {}
    for key, item in value do table.insert(parts, `{tostring(key)}: {shown(item)}`) end
    table.sort(parts)
    return "{" .. table.concat(parts, ", ") .. "}"
end
local function same(a, b)
    if typeof(a) ~= "table" or typeof(b) ~= "table" then return a == b end
    for key, item in a do if not same(item, b[key]) then return false end end
    for key in b do if a[key] == nil then return false end end
    return true
end
local function equal(actual, expected)
    if not same(actual, expected) then error(`expected {shown(expected)}, got {shown(actual)}`, 0) end
    return true
end
local function near(actual, expected, tolerance)
    local distance = if type(actual) == "number" then math.abs(actual - expected) else (actual - expected).Magnitude
    if not (distance <= (tolerance or 1e-4)) then error(`expected {expected}, got {actual}`, 0) end
    return true
end
local function raised(callback, ...)
    local ok, message = pcall(callback, ...)
    if ok then error("no error", 0) end
    return (string.gsub(tostring(message), "^[%w.]+:%d+: ", ""))
end
local function fails(expected, callback, ...) return equal(raised(callback, ...), expected) end
local function mentions(expected, callback, ...)
    local message = raised(callback, ...)
    if not string.find(message, expected, 1, true) then error(`expected {expected}, got {message}`, 0) end
    return true
end
function _G.verdict(at, name, place)
    if not cases[at] or cases[at][1] ~= name then error("no such case", 0) end
    local value = cases[at][2](place)
    if value ~= true then error(`returned {shown(value)}`, 0) end
end
""".replace("\n", " ")

CHECK = '{{ name = "{name}", use = "normal", run = function(place) _G.verdict({at}, "{name}", place) end }},\n'
LIMITS = Limits(seconds=120)


def names(path: Path) -> list[str]:
    return re.findall(r'^case\("([^"\n]+)", function\(', path.read_text(encoding="utf-8"), re.MULTILINE)


def cases(prefix: str = "") -> list[tuple[str, str]]:
    return [(path.stem, name) for path in FILES if path.stem.startswith(prefix) for name in names(path)]


def program(path: Path) -> Program:
    checks = "".join(CHECK.format(name=name, at=at) for at, name in enumerate(names(path), start=1))
    # The first line is a comment, and of several scripts in a file the name of the first, which has the cases.
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    kind = "client" if "client" in path.stem else "server"
    return Program(f"{first}\n{HELPERS}{rest}", kind, "return { checks = {\n" + checks + "} }", LIMITS)


@pytest.fixture(scope="module")
def verdicts():
    with Sandbox(processes=2) as sandbox:
        results = list(sandbox.run([program(path) for path in FILES]))
    assert [result.broken for result in results if result.broken] == []
    return {
        (path.stem, check.name): (check.passed, check.message or ", ".join(result.not_modelled))
        for path, result in zip(FILES, results, strict=True)
        for check in result.checks
    }


@pytest.mark.parametrize(("file", "name"), cases())
def test_case(verdicts, file, name):
    passed, message = verdicts[file, name]
    assert passed is True, message


def test_there_are_as_many_cases_as_the_files_name_and_enough_of_them(verdicts):
    assert set(verdicts) == set(cases())
    assert len(cases()) == len(set(cases()))  # each name once in its file
    assert sum(path.read_text(encoding="utf-8").count("\ncase(") for path in FILES) == len(cases())
    assert len(cases("language")) >= 150
    assert len(cases("roblox")) >= 250
    assert len(cases("language")) + len(cases("roblox")) == len(cases())
