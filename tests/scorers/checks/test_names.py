import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import fields, names, variables
from luau_rft.scorers.checks.spelling import Spellings

ENEMY = (
    "local Enemy = {}\nEnemy.__index = Enemy\n"
    "function Enemy.new() local self = setmetatable({}, Enemy) self.health = 1 return self end\n"
)


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        ("undefined_global", "print(coins)\nprint(coins)", [1]),
        ("undefined_global", "coins = 1\nprint(coins)", []),
        ("undefined_global", "coins += 1", [1]),
        ("undefined_global", "workspace.Name = None\nplayer.Name = 'x'", [2]),
        ("undefined_global", "print(shared, _G, script, plugin, settings(), newproxy(), getfenv(), Enum, math.pi)", []),
        ("undefined_global", "local x = = 1\nprint(coins)", []),
        ("undefined_global", "return function() it('adds', function() expect(1).to.equal(1) end) end", []),
        ("undefined_global", "expect(1)\nit('adds')", [1, 2]),
        ("global_variable", "coins = 1\ncoins = 2\nfunction f() end", [1, 3]),
        ("global_variable", "local coins\ncoins = 1", []),
        ("global_variable", "print = warn", []),
        ("builtin_global_write", "game = workspace\nprint, x = 1, 2", [1, 2]),
        ("builtin_global_write", "math.floor = math.round\nfunction table.count(t) return #t end", [1, 2]),
        ("builtin_global_write", "local math = {}\nmath.floor = 1\n_G.x = 1\nshared.y = 2", []),
        ("builtin_global_write", "local print = warn\nprint(math.floor(1.5))", []),
    ],
)
def test_names(check, code, lines):
    assert [node.line for node, _ in getattr(names, check)(parse(code), None)] == lines


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("local coins = 1\nprint(conis)", "`conis` is defined nowhere: did you mean `coins`?"),
        ("local Coins = 1\nprint(coins)", "`coins` is defined nowhere: did you mean `Coins`?"),
        ("Workspce.Name = 'a'", "`Workspce` is defined nowhere: did you mean `Workspace`?"),
        ("do local coins = 1 end\nprint(conis)", "`conis` is defined nowhere"),
        ("print(conis)\nlocal coins = 1", "`conis` is defined nowhere"),
        ("local function f(coins) print(conis) end", "`conis` is defined nowhere: did you mean `coins`?"),
        ("for coins = 1, 2 do end\nprint(conis)", "`conis` is defined nowhere"),
        ("print(nul)", "`nul` is defined nowhere"),
    ],
)
def test_an_undefined_name_comes_with_what_may_be_meant(code, message):
    assert [text for _, text in names.undefined_global(parse(code), None)] == [message]


def test_a_global_that_is_nearly_a_local_comes_with_the_local():
    hits = names.global_variable(parse("local score = 1\nscroe = score + 1"), None)
    assert [text for _, text in hits] == ["`scroe` is a global: declare it with `local`: did you mean `score`?"]


def test_spellings_are_one_edit_apart():
    spellings = Spellings(["start", "stop", "a" * 100])
    for name in ("strat", "tart", "sstart", "stard", "START"):
        assert spellings.near(name) == ["start"]
    for name in ("start", "sttar", "starred", "a" * 101, ""):
        assert spellings.near(name) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("local M = {}\nfunction M.start() end\nM.strat()\nreturn M", [3]),
        ("local M = { speed = 1 }\nprint(M.sped)", [2]),
        ("local M = {}\nM.speed = 1\nM.sped += 1", [3]),
        ("local M = { speed = 1 }\nprint(M.size)", []),
        ("local M = { x = 1 }\nprint(M.y)", []),
        ("local M = { door = 1 }\nprint(M.doors)", []),
        ("local M = { door1 = 1 }\nprint(M.door2)", []),
        ("local M = {}\nfunction M.getState() end\nM:setState()", []),
        ("local M = { speed = 1 }\nlocal other = { sped = 1 }\nprint(M.sped, other)", []),
        ("local M = { speed = 1 }\nfor _, name in { 'sped' } do M[name] = 1 end\nprint(M.sped)", []),
        ("local M = require(script.M)\nM.speed = 1\nprint(M.sped)", []),
        (ENEMY + "function Enemy:hurt() self.helath -= 1 end", [4]),
        (ENEMY + "function Enemy:hurt() return self.health end\nEnemy.new():hurt()", []),
        (ENEMY + "function Enemy:hurt() end\nlocal enemy = Enemy.new()\nenemy:hrut()", [6]),
        (ENEMY + "function Enemy:attack() self:atack() end", [4]),
        ("local M = {}\nM.__index = function() return 1 end\nM.speed = 1\nprint(M.sped)", []),
        ("local M = setmetatable({ speed = 1 }, { __index = function() return 1 end })\nprint(M.sped)", []),
        ("local Base = require(script.Base)\nlocal M = setmetatable({ speed = 1 }, Base)\nprint(M.sped)", []),
        ("local a = b\nlocal b = a\na.speed = 1\nb.sped()", []),
    ],
)
def test_misspelt_fields(code, lines):
    assert [node.line for node, _ in fields.misspelt_name(parse(code), None)] == lines


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        ("placeholder_read", "local _ = 1\nprint(_)\nprint(_)", [2]),
        ("placeholder_read", "for _, _ in {} do end", []),
        ("unused_variable", "local coins = 1\nlocal _coins = 1", [1]),
        ("unused_variable", "local coins\ncoins = 2", [1]),
        ("unused_variable", "local coins = 0\ncoins += 1", [1]),
        ("unused_variable", "local function give() end\nlocal function take() take() end\ngive()", [2]),
        ("unused_variable", "local ok, coins = pcall(print)\nprint(coins)", []),
        ("unused_variable", "local ok, problem = pcall(print)\nprint(ok)", [1]),
        ("unused_variable", "local Types = require(script.Types)\nlocal x: Types.X = 1\nprint(x)", []),
        ("unused_variable", "return function(a, b) for i, v in {} do end end", []),
        ("uninitialized_local", "local a\nreturn function() return a end", [2]),
        ("uninitialized_local", "local a, b = 1\nprint(a, b)", [2]),
        ("uninitialized_local", "local a, b = f()\nlocal c, d = ...\nprint(a, b, c, d)", []),
        ("uninitialized_local", "local a\nif f() then a = 1 end\nprint(a)", []),
        ("uninitialized_local", "local a\nfor i = 1, 2 do print(a) a = i end", []),
        ("uninitialized_local", "local a\nlocal function f() return a end\na = 1\nf()", []),
        ("uninitialized_local", "local a\nfor i = 1, 2 do f(i) end\nprint(a)\na = 1", [3]),
        ("uninitialized_local", "local a\na = a or 1", [2]),
        ("uninitialized_local", "local a = nil\nprint(a.x)", [2]),
        ("uninitialized_local", "local a = nil\nprint(a)", []),
        ("uninitialized_local", "local a = nil\nif f() then a = g end\nprint(a.x)", []),
        ("uninitialized_local", "local a = nil\nlocal function f() return a.x end\na = g\nf()", []),
        ("uninitialized_local", "local a\nfunction a() end\na()", []),
        ("duplicate_local", "local a, b, a = 1, 2, 3", [1]),
        ("duplicate_local", "local _, _ = f()\nlocal a = 1\nlocal a = 2", []),
        ("duplicate_local", "return function(a: number, a: string) end", [1]),
        ("duplicate_local", "for i, i in {} do end", [1]),
        ("duplicate_function", "local M = {}\nfunction M.a() end\nfunction M:a() end", [3]),
        ("duplicate_function", "local function a() end\nlocal function a() end", [2]),
        ("duplicate_function", "if f() then\nfunction a() end\nelse\nfunction a() end\nend", []),
        ("shadowing", "local coins = 1\ndo local coins = 2 print(coins) end", [2]),
        ("shadowing", "return function(player)\nreturn function(player) return player end end", [2]),
        ("shadowing", "do local a = 1 print(a) end\nlocal a\nprint(a)", []),
        ("shadowing", "local game = game\nlocal a = f()\ndo local a = a + 1 local b = a end", [3]),
        ("shadowing", "local a = f()\ndo local a = a local b = a.c end", []),
        ("shadowing", "for _, a in {} do for _, b in a do end end", []),
    ],
)
def test_variables(check, code, lines):
    assert [node.line for node, _ in getattr(variables, check)(parse(code), None)] == lines
