import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import iterating, sequences

IN_LOOP = "local list = f()\nfor i, v in {} do\nif v then\n{}\nend\nend"


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        ("for_range", "for i = #t, 1 do end", [1]),
        ("for_range", "for i = #t - 1, 1, -1 do end", []),
        ("for_range", "for i = 1, #t, -1 do end", [1]),
        ("for_range", "for i = 10, 1 do end", [1]),
        ("for_range", "for i = 1, 10, -1 do end", [1]),
        ("for_range", "for i = 1, 10, 0 do end", [1]),
        ("for_range", "for i = 1, 8.75 do end", [1]),
        ("for_range", "for i = 0, 1, 0.25 do end", []),
        ("for_range", "for i = 1, n, step do end", []),
        ("table_operations", "table.insert(t, 0, x)", [1]),
        ("table_operations", "table.insert(t, #t, x)", [1]),
        ("table_operations", "table.insert(t, #u, x)", []),
        ("table_operations", "table.remove(t, 0)", [1]),
        ("table_operations", "table.remove(t, #t - 1)", [1]),
        ("table_operations", "table.remove(t, (#t - 1))", []),
        ("table_operations", "table.remove(t, #t)", []),
        ("table_operations", "table.move(t, 0, 5, 1, u)", [1]),
        ("table_operations", "table.move(t, 1, 5, 0, u)", [1]),
        ("table_operations", "table.create(3, {})", [1]),
        ("table_operations", "table.create(3, 0)", []),
        ("table_operations", "table.insert(t, s:gsub('a', 'b'))", [1]),
        ("table_operations", "table.insert(t, (s:gsub('a', 'b')))", []),
        ("table_operations", "local function f() return 1, 2 end\ntable.insert(t, f())", [2]),
        ("table_operations", "local function f() return 1 end\ntable.insert(t, f())", []),
        ("off_by_one", "local x = t[#t + 1]", [1]),
        ("off_by_one", "t[#t + 1] = x", []),
        ("off_by_one", "if t[#t + 1] then f() end", []),
        ("off_by_one", "for i = 0, #t - 1 do\nf(t[i])\nend", [2]),
        ("off_by_one", "for i = #t - 1, 0, -1 do\nf(t[i])\nend", [2]),
        ("off_by_one", "for i = 0, #t - 1 do\nf(t[i + 1])\nend", []),
        ("off_by_one", "local t = workspace:GetChildren()\nfor i = 0, #t do\nt[i]:Destroy()\nend", [3]),
        ("off_by_one", "local function f(t) for i = 0, #t do\nt[i]:Destroy()\nend end", [2]),
        ("off_by_one", "local t = {}\nt[0] = 1\nfor i = 0, #t do\nf(t[i])\nend", []),
        ("off_by_one", "local t = { [0] = 1, 2 }\nfor i = 0, #t do\nf(t[i])\nend", []),
        ("off_by_one", "for i = 0, #t do\nf(t[i])\nend", []),
        ("off_by_one", "for i = 1, #t + 1 do\nf(t[i])\nend", [2]),
        ("off_by_one", "for i = 1, #t + 1 do\nif t[i] == nil then f() end\nend", []),
        ("off_by_one", "for i = 0, #u - 1 do\nf(t[i])\nend", []),
        ("off_by_one", "local x = t[math.random(0, #t - 1)]", [1]),
        ("off_by_one", "local x = t[math.random(1, #t)]", []),
        ("zero_based_index", "local t = { 1, 2 }\nf(t[0])", [2]),
        ("zero_based_index", "local t = { [0] = 1, 2 }\nf(t[0])", []),
        ("zero_based_index", "local t = { 1, 2 }\nt[0] = 3\nf(t[0])", []),
        ("zero_based_index", "local t = g()\nf(t[0])", []),
        ("zero_based_index", "f(script:GetChildren()[0])", [1]),
        ("length_of_dictionary", "local t = { a = 1 }\nf(#t)", [2]),
        ("length_of_dictionary", "local t = {}\nt[game.Workspace] = 1\nf(#t)", [3]),
        ("length_of_dictionary", "local t = {}\nt.a = 1\nt[f()] = 2\nf(#t)", []),
        ("length_of_dictionary", "local t = { a = 1 }\ntable.insert(t, 2)\nf(#t)", []),
        ("length_of_dictionary", "local t = { a = 1 }\ng(t)\nf(#t)", []),
        ("length_of_dictionary", "local t = { a = 1, 2 }\nf(#t)", []),
        ("length_of_dictionary", "local t = {}\nf(#t)", []),
        ("ipairs_of_dictionary", "local t = { a = 1 }\nfor k in ipairs(t) do end", [2]),
        ("ipairs_of_dictionary", "local t = { a = 1 }\nfor k in pairs(t) do end", []),
        ("ipairs_of_dictionary", "for k in ipairs({ a = 1 }) do end", [1]),
        ("ipairs_of_dictionary", "for k in ipairs({ a = 1, 2 }) do end", []),
        ("ipairs_of_dictionary", "for k in ipairs({ [x] = 1 }) do end", []),
        ("ipairs_of_dictionary", "for k in ipairs({}) do end", []),
    ],
)
def test_sequences(check, code, lines):
    assert [where.line for where, _ in getattr(sequences, check)(parse(code), None)] == lines


@pytest.mark.parametrize(
    ("iterated", "change", "count"),
    [
        ("ipairs(list)", "table.remove(list, i)", 1),
        ("pairs(list)", "table.remove(list, i)", 1),
        ("list", "table.remove(list, i)", 1),
        ("next, list", "table.remove(list, i)", 1),
        ("list", "table.insert(list, v)", 1),
        ("ipairs(list)", "table.insert(list, v)", 0),  # a queue: ipairs comes to it
        ("ipairs(list)", "table.insert(list, 1, v)", 1),
        ("table.clone(list)", "table.remove(list, i)", 0),
        ("list", "table.remove(other, i)", 0),
        ("list", "table.remove(list, i)\nbreak", 0),
        ("list", "table.remove(list, i)\ng()\nreturn", 0),
        ("list", "table.remove(list, i)\ncontinue", 1),
        ("list", "for _ in v do\ntable.remove(list, i)\nbreak\nend", 1),
        ("list", "task.defer(function() table.remove(list, i) end)", 0),
        ("list", "list[i] = nil", 0),
    ],
)
def test_mutating_while_iterating(iterated, change, count):
    code = IN_LOOP.replace("{}", iterated, 1).replace("{}", change, 1)
    assert len(list(iterating.mutating_while_iterating(parse(code), None))) == count


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        ("mutating_while_iterating", "for i = 1, #t do\ntable.remove(t, i)\nend", [2]),
        ("mutating_while_iterating", "for i = 1, #t do\ntable.remove(t, 1)\nend", []),
        ("mutating_while_iterating", "for i = #t, 1, -1 do\ntable.remove(t, i)\nend", []),
        ("loop_variable_assignment", "for i = 1, 9 do\nf(i)\ni += 1\nend", [3]),
        ("loop_variable_assignment", "for i = 1, 9 do\ni -= 1\nf(i)\nend", []),
        ("loop_variable_assignment", "for i, v in t do\ni += 1\nend", []),
        ("manual_table_clone", "local c = {}\nfor k, v in t do\nc[k] = v\nend", [2]),
        ("manual_table_clone", "local c = {}\nfor k, v in t do\nc[v] = k\nend", []),
        ("manual_table_clone", "local c = { 1 }\nfor k, v in t do\nc[k] = v\nend", []),
        ("manual_table_clone", "local c = {}\nfor k, v in f() do\nc[k] = v\nend", []),
        ("manual_table_clone", "for k, v in t do\nc[k] = v\nend", []),
    ],
)
def test_iterating(check, code, lines):
    assert [where.line for where, _ in getattr(iterating, check)(parse(code), None)] == lines
