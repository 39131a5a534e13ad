import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import calling

DOUBLE = "local function double(x) return x * 2 end\n"
CLASS = "local Door = {}\nDoor.__index = Door\nfunction Door:open(angle) self.angle = angle % 360 end\n"


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        ("mismatched_arg_count", DOUBLE + "double(1, 2)", [2]),
        ("mismatched_arg_count", DOUBLE + "double()", [2]),
        ("mismatched_arg_count", DOUBLE + "double(...)", []),
        ("mismatched_arg_count", DOUBLE + "double(f())", []),
        ("mismatched_arg_count", DOUBLE + "double(1, 2, f())", [2]),
        ("mismatched_arg_count", DOUBLE + "double = nil double(1, 2)", []),
        ("mismatched_arg_count", "local function f(x, ...) return x end\nf(1, 2, 3)", []),
        ("mismatched_arg_count", "local function f(x) x = x or 1 return x * 2 end\nf()", []),
        ("mismatched_arg_count", "local function f(on, x) if on then return x.Name end return '' end\nf(false)", []),
        ("mismatched_arg_count", "local function f(on, x) if on then return '' end return x.Name end\nf(true)", []),
        ("mismatched_arg_count", "local function f(x: string) g(x) end\nf()", [2]),
        ("mismatched_arg_count", "local function f(x: string?) g(x) end\nf()", []),
        ("mismatched_arg_count", "local function f(x: any) g(x) end\nf()", []),
        ("mismatched_arg_count", "type string = any\nlocal function f(x: string) g(x) end\nf()", []),
        ("mismatched_arg_count", "local f\nf = function(x) return #x end\nf()", [3]),
        ("mismatched_arg_count", "function f(x) return #x end\nf()", [2]),
        ("mismatched_arg_count", "function f(x) return x end\nfunction f(x, y) return x end\nf(1, 2)", []),
        ("mismatched_arg_count", CLASS + "Door:open()", [4]),
        ("mismatched_arg_count", CLASS + "Door:open(1)\nDoor.open(Door, 1)", []),
        ("mismatched_arg_count", CLASS + "Door.open(Door, 1, 2)", [4]),
        ("mismatched_arg_count", CLASS + "function Door:shut() self:open(1, 2) end", [4]),
        ("mismatched_arg_count", CLASS + "Door[name] = g\nDoor:open(1, 2)", []),
        ("mismatched_arg_count", CLASS + "Door.open = g\nDoor:open(1, 2)", []),
        ("mismatched_arg_count", "local M = { f = g }\nfunction M.f(x) return x end\nM.f(1, 2)", []),
        ("lua_argument_count", "local x = math.floor()", [1]),
        ("lua_argument_count", "local x = math.floor(f())", []),
        ("lua_argument_count", "local x = tostring()", [1]),
        ("lua_argument_count", "local x = setmetatable({})", [1]),
        ("lua_argument_count", "table.insert(t)", [1]),
        ("lua_argument_count", "table.insert(t, 1, 2, 3)", [1]),
        ("lua_argument_count", "local x = os.date()\nlocal y = string.split('a,b')", []),
        ("lua_argument_count", "local x = ('a'):rep()", [1]),
        ("lua_argument_count", "local x = ('a'):rep(3)", []),
        ("lua_argument_count", "local x = thing:rep()", []),
        ("lua_argument_count", "local math = {}\nmath.floor()", []),
        ("lua_argument_count", "function wait(a, b) end\nwait(1, 2, 3)", []),
        ("implicit_return", "local function f(x) if x then return 1 end end", [1]),
        ("implicit_return", "local function f(x) if x then return 1 end return end", []),
        ("implicit_return", "local function f(x) if not x then return end g(x) end", []),
        ("implicit_return", "local function f(x) if x then return 1 else return 2 end end", []),
        ("implicit_return", "local function f(x) if x then return 1 end error('no') end", []),
        ("implicit_return", "local function f(x) while true do if x then return 1 end end end", []),
        ("implicit_return", "local function f(x) for _, y in x do if y then return y end end end", []),
        ("implicit_return", "local function f(x) if x then return g(x) end h(x) end", []),
        (
            "implicit_return",
            "local function f(n) local i = 0\nreturn function() i += 1 if i < n then return i end end end",
            [],
        ),
        (
            "implicit_return",
            "local function f(n) local i = 0\nlocal function g() i += 1 if i < n then return i end end return g end",
            [],
        ),
        ("implicit_return", "local function f(n)\nreturn function(i) if i < n then return i end end end", [2]),
        ("missing_return_value", "local function f() return end\nlocal x = f()", [2]),
        ("missing_return_value", "local function f() end\nlocal x = f()", []),
        ("missing_return_value", "local function f() g() end\nlocal x = f()", [2]),
        ("missing_return_value", "local function f() g() end\nlocal x, y = 1, f()", [2]),
        ("missing_return_value", "local function f() g() end\ntask.spawn(f())", [2]),
        ("missing_return_value", "local function f() g() end\nif f() then h() end", [2]),
        ("missing_return_value", "local function f() g() end\nreturn f()", []),
        ("missing_return_value", "local function f() g() end\nlocal _ = x and f()", []),
        ("missing_return_value", "local function f() error('no') end\nlocal x = f()", []),
        ("missing_return_value", "local function f() return g() end\nlocal x, y = f()", []),
        ("missing_return_value", "local function f() return 1 end\nlocal x, y = f()", [2]),
        ("missing_return_value", "local function f() return 1 end\nlocal x, y = f(), 2", []),
        ("missing_return_value", "local function f(x) if x then return 1, 2 end return 1 end\nlocal x, y = f()", []),
        ("missing_return_value", "local x = table.insert(t, 1)", [1]),
        ("missing_return_value", "local x = table.remove(t, 1)", []),
        ("endless_recursion", "local function f(n)\nreturn n * f(n - 1)\nend", [2]),
        ("endless_recursion", "local function f(n)\nreturn n > 0 and f(n - 1)\nend", []),
        ("endless_recursion", "local function f(n)\nif n == 0 then return end\nf(n - 1)\nend", []),
        ("endless_recursion", "local function f(n)\ntask.delay(1, function() f(n) end)\nend", []),
        ("endless_recursion", "local function f(n)\nif f(n) then g() end\nend", [2]),
        ("endless_recursion", "local M = {}\nfunction M:f()\nself:f()\nend", [3]),
        ("endless_recursion", "local M = {}\nfunction M:f()\nself.child:f()\nend", []),
        ("endless_recursion", "local function f(n)\nassert(n > 0)\nf(n - 1)\nend", []),
    ],
)
def test_lines_found(check, code, lines):
    assert [where.line for where, _ in getattr(calling, check)(parse(code), None)] == lines


def test_a_colon_where_no_self_is_taken():
    code = "local Enemy = {}\nfunction Enemy.new() return {} end\nlocal enemy = Enemy:new()"
    ((call, message),) = calling.mismatched_arg_count(parse(code), None)
    assert call.line == 3
    assert message == "the function takes no `self`: call it with a dot, or declare it with a colon"
