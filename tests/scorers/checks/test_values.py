"""What the rules on values find and, above all, what they leave alone."""

import pytest

from luau_rft.luau.tree import Tree
from luau_rft.scorers.checks import values

PART = "local p = Instance.new('Part') "
FOUND = {
    "constant_table_comparison": ["x = t == {}", "x = {} ~= t", "x = t == ({1})"],
    "compare_nan": ["x = t == 0/0", "local nan = 0/0 x = t ~= nan", "x = t == -(0/0)", "x = t == math.nan"],
    "almost_swapped": ["a = b b = a", "t[1] = t[2] t[2] = t[1]", "a.x = b.x; b.x = (a.x)"],
    "self_assignment": ["a = a", "t.a.b = t.a.b", "t[i] = t[ i ]", "t[i] = t[i --[[ x ]]]"],
    "divide_by_zero": [
        "x = a / 0",
        "x = a % 0",
        "x = a // 0.0",
        "x = 5 / 0",
        "a /= 0",
        "a %= 0",
        "x = 1 // 0",
        "x = a / -0x0",
        "local zero = 0 x = a / zero",
    ],
    "unbalanced_assignments": [
        "local a, b = 1",
        "a, b = b",
        "local a = 1, 2",
        "local a, b, c = f(), 1",
        "a, b = (f())",
    ],
    "duplicate_keys": [
        "x = {a = 1, b = 2, a = 3}",
        "x = {a = 1, ['a'] = 2}",
        "x = {1, 2, [2] = 3}",
        "x = {[1] = 1, 2}",
        "x = {[1] = 1, [0x1] = 2}",
        "x = {[Enum.KeyCode.A] = 1, [Enum.KeyCode.A] = 2}",
    ],
    "mixed_table": ["x = {1, a = 2}", "x = {a = 2, f(), 1}", "x = {1, [2] = 2, a = 3}"],
    "bad_string_escape": [
        r"x = '\d'",
        r'x = "a\.b"',
        r"x = `a\s{b}`",
        r"x = '\n\w'",
        r"x = '\\\d'",
    ],
    "must_use": [
        "string.upper(s)",
        "tostring(s)",
        "table.concat(t)",
        "math.floor(x)",
        "local s = 'a' s:upper()",
        "('a'):rep(3)",
        "Vector3.new(1, 2, 3)",
        "Instance.new('Part')",
        "coroutine.wrap(f)",
        PART + "p:Clone()",
        PART + "p:GetChildren()",
        PART + "p.CFrame:Inverse()",
        PART + "p.Position:Lerp(Vector3.zero, 1)",
        "game:GetService('TweenService'):Create(p, TweenInfo.new(1), {})",
    ],
    "integer_parsing": ["x = 0x1FFFFFFFFFFFFFFFF", "x = 9_007_199_254_740_993", "x = 0b1" + "0" * 64],
}
FINE = {
    "constant_table_comparison": ["x = t == nil", "x = #t == 0", "f({})"],
    "compare_nan": ["x = t ~= t", "x = 0/0", "x = t == 1/0", "local nan = 0/0 nan = 1 x = t == nan"],
    "almost_swapped": [
        "a, b = b, a",
        "a = b c = a",
        "local t = a a = b b = t",
        "a = b f() b = a",
        "a = f() b = a",
        "a.x = b.x b.y = a.y",
    ],
    "self_assignment": [
        "local a = a",
        "t[f()] = t[f()]",
        "t.a = t.b",
        "t[i] = t.i",
        "function M:__newindex(k, v) end self.zoom = self.zoom",
    ],
    "divide_by_zero": ["x = 0/0", "x = 1/0", "x = -1/0", "x = a / 0.5", "local n = 0 n += 1 x = a / n", "x = a * 0"],
    "unbalanced_assignments": [
        "local a, b",
        "local a, b = f()",
        "local a, b, c = 1, ...",
        "local a, b, c = nil",
        "a, b = t:read()",
        "local a, b = f() :: any",
    ],
    "duplicate_keys": [
        "x = {a = 1, A = 2}",
        "x = {a = 1, [a] = 2}",
        "x = {1, 2, [3] = 3}",
        "x = {[1] = 1, ['1'] = 2}",
        "x = {[f()] = 1, [f()] = 2}",
        "x = {a = {b = 1}, b = 1}",
    ],
    "mixed_table": [
        "x = {1, 2}",
        "x = {a = 1}",
        "x = {n = select('#', ...), ...}",
        "x = New 'Frame' {Name = 'a', child}",
        "x = {[1] = 1, a = {2}}",
        "x = {1, [2] = 2}",
    ],
    "bad_string_escape": [
        r"x = '\n\t\\\"\'\065\x41\u{41}\z  a'",
        r"x = [[\d]]",
        r"x = `\{a\}{b:match('%d')}`".replace(r"\}", "}"),
        "x = '%d+'",
        r"local x = 1 -- '\d'",
        "x = 'a\\\nb'",
    ],
    "must_use": [
        "local s = string.upper(s)",
        "table.insert(t, 1)",
        "table.sort(t)",
        "table.freeze(t)",
        "coroutine.wrap(f)()",
        "s:upper()",
        "model:Clone()",
        "Instance.new('Part', workspace)",
        "string.gsub(s, '.', function(c) print(c) end)",
        "local s = 'a' s:gsub('.', print)",
        "local string = require(x) string.upper(s)",
        "math.randomseed(1)",
        "math.random()",
        PART + "p:Destroy()",
        PART + "p.Touched:Wait()",
        "game:GetService('TweenService'):Create(p, TweenInfo.new(1), {}):Play()",
        "game:GetService('Players')",
        "workspace:WaitForChild('a')",
    ],
    "integer_parsing": [
        "x = 0xFFFFFFFF",
        "x = 9007199254740992",
        "x = 1e300",
        "x = 0x7FFFFFFFFFFFFC00",
        "x = 1.0000000000000001",
    ],
}


def hits(rule, source):
    return list(getattr(values, rule)(Tree(source), None))


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule in FOUND for source in FOUND[rule]])
def test_found(rule, source):
    assert len(hits(rule, source)) == 1


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule in FINE for source in FINE[rule]])
def test_fine(rule, source):
    assert hits(rule, source) == []


@pytest.mark.parametrize("rule", FOUND)
@pytest.mark.parametrize("source", ["a = = b", "x = {[] = 1, = 2}", "x = a / ", "x = '\\d", "local a, = 1", ":upper()"])
def test_broken_code_raises_nothing(rule, source):
    assert isinstance(hits(rule, source), list)
