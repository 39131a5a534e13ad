"""Programs that misbehave are results; the pool goes on, gives equal answers, and shows nothing of the host."""

import os
import signal
import subprocess

import pytest

from luau_rft.luau.sandbox import Limits, Program, Sandbox

SHORT = Limits(seconds=2, steps=100_000, memory_mb=16, output_bytes=2_000, wall_s=3)

ONE_CHECK = """
return { checks = { { name = "a", use = "normal", run = function(place) %s end } } }
"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(processes=2) as pool:
        yield pool


def run(sandbox, source, limits=SHORT, **fields):
    [result] = sandbox.run([Program(source, limits=limits, **fields)])
    return result


def test_output_and_result_of_a_plain_program(sandbox):
    result = run(sandbox, 'print("a", 1, nil, true)\nwarn("careful")')
    assert result.ok
    assert result.output == ["a 1 nil true", "warning: careful"]
    assert result.warnings == ["careful"]


@pytest.mark.parametrize(
    "source",
    [
        "while true do end",
        "local function f() return f() end; while true do pcall(f) end",
        "while true do pcall(function() while true do end end) end",
        "task.spawn(function() while true do end end)",
        "coroutine.wrap(function() while true do end end)()",
        "game.Players.PlayerAdded:Connect(print) repeat local x = game.Workspace.Name until false",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        'string.gsub("a", "a", function() while true do end end)',
        "local t = setmetatable({}, { __index = function() while true do end end }) local x = t.y",
        "while true do pcall(function() local x = workspace.Nothing end) end",
    ],
)
def test_a_loop_without_end_hits_the_time_limit(sandbox, source):
    result = run(sandbox, source)
    assert result.limit == "time"
    assert not result.ok


def test_what_hangs_in_native_code_is_killed(sandbox):
    source = 'string.find(string.rep("a", 300), string.rep("a-", 20) .. "b")'
    result = run(sandbox, source, Limits(wall_s=0.5))
    assert result.limit == "time"
    assert run(sandbox, "print(1)").output == ["1"]


@pytest.mark.parametrize(
    "source",
    [
        "local t = {} for i = 1, 1e9 do t[i] = tostring(i) end",
        'local s = "x" while true do s ..= s end',
        'local s = string.rep("x", 1e9)',
        "local t = table.create(6e7, 1)",
        "local t = {} for i = 1, 1e6 do pcall(function() t[i] = string.rep('x', 1e5) .. i end) end error(#t)",
        "local b = buffer.create(1e9)",
    ],
)
def test_a_memory_bomb_hits_the_memory_limit(sandbox, source):
    result = run(sandbox, source, Limits(memory_mb=16))
    assert result.limit == "memory"


def test_endless_recursion_hits_the_recursion_limit(sandbox):
    result = run(sandbox, "local function f() return 1 + f() end\nf()")
    assert result.limit == "recursion"
    assert result.error["line"] == 1
    assert len(result.error["traceback"]) < 50


def test_output_is_cut_at_the_limit(sandbox):
    result = run(sandbox, 'for i = 1, 1000 do print("0123456789") end')
    assert result.limit == "output"
    assert sum(map(len, result.output)) <= SHORT.output_bytes


def test_an_uncaught_error_names_the_candidates_own_lines(sandbox):
    source = "local function outer()\n\tlocal part = nil\n\treturn part.Name\nend\n\nouter()"
    error = run(sandbox, source).error
    assert error["message"] == "ServerScriptService.Script:3: attempt to index nil with 'Name'"
    assert error["line"] == 3
    assert error["traceback"] == [
        "Script 'ServerScriptService.Script', Line 3 - function outer",
        "Script 'ServerScriptService.Script', Line 6",
    ]


def test_a_syntax_error_fails_all_checks_with_its_line(sandbox):
    result = run(sandbox, "local x =\n", checks=ONE_CHECK % "")
    assert [check.passed for check in result.checks] == [False]
    assert "ServerScriptService.Script:2:" in result.error["message"]


def test_each_check_gets_a_fresh_place_and_a_fresh_start_of_the_candidate(sandbox):
    checks = """
    local body = function(place)
        place:equal(#workspace:GetChildren(), 3, "children")
        place:equal(_G.count, 1, "count")
        Instance.new("Part", workspace)
    end
    return { checks = {
        { name = "a", use = "normal", run = body },
        { name = "b", use = "edge", run = body },
    } }
    """
    candidate = 'local part = Instance.new("Part", workspace)\n_G.count = (_G.count or 0) + 1'
    result = run(sandbox, candidate, checks=checks)
    assert [(check.name, check.use, check.passed) for check in result.checks] == [
        ("a", "normal", True),
        ("b", "edge", True),
    ]
    assert result.observed["instances"] == ["Part"]


def test_a_runaway_check_does_not_spoil_the_next(sandbox):
    checks = """
    return { checks = {
        { name = "a", use = "normal", run = function() while true do end end },
        { name = "b", use = "normal", run = function(place) place:expect(true) end },
        { name = "c", use = "normal", run = function(place) error("no") end },
    } }
    """
    result = run(sandbox, "", checks=checks)
    assert [check.passed for check in result.checks] == [False, True, False]
    assert result.checks[2].message == "checks:5: no"


def test_a_dead_worker_is_replaced_and_the_run_goes_on():
    with Sandbox(processes=1) as pool:
        assert run(pool, "print(1)").ok
        os.kill(pool._workers[0]._process.pid, signal.SIGKILL)
        results = list(pool.run([Program("print(1)"), Program("print(2)")]))
    assert [result.limit for result in results] == ["crash", None]
    assert results[1].output == ["2"]


def test_a_pool_that_is_left_early_ends_its_workers():
    with Sandbox(processes=2) as pool:
        assert next(pool.run([Program("while true do end")] * 50)).limit == "time"
        processes = [worker._process for worker in pool._workers]
    assert [process.wait(timeout=5) for process in processes] == [-signal.SIGKILL] * 2


def test_results_come_in_the_order_of_the_programs(sandbox):
    programs = [Program(f"for i = 1, {(i * 7) % 5 * 20000} do end print({i})") for i in range(20)]
    assert [result.output for result in sandbox.run(programs)] == [[str(i)] for i in range(20)]


NONDETERMINISM = """
local t = {}
for i = 1, 40 do t[Instance.new("Part")] = i; t[{}] = i; t[function() return i end] = i end
local order = {}
for _, i in t do table.insert(order, i) end
print(table.concat(order, " "))
print(math.random(), Random.new():NextNumber(), tostring({}), print, os.time(), os.clock(), tick(), time())
print(game:GetService("HttpService"):GenerateGUID())
"""


def test_two_runs_of_a_program_are_equal_in_every_process(sandbox, tmp_path):
    results = list(sandbox.run([Program(NONDETERMINISM)] * 8))
    with Sandbox(processes=1) as other:
        results += other.run([Program("print(1)" * 50), Program(NONDETERMINISM)])
    del results[8]
    assert all(result == results[0] for result in results)
    assert len(results[0].output) == 3


# The names of all functions that can be reached from the globals, metatables included.
REACHABLE = """
local seen, names = {}, {}
local function visit(value, path)
    if type(value) == "function" then table.insert(names, path) end
    if typeof(value) ~= "table" or seen[value] then return end
    seen[value] = true
    for key, item in pairs(value) do visit(item, path .. "." .. tostring(key)) end
    if type(getmetatable(value)) == "table" then visit(getmetatable(value), path .. ".meta") end
end
for name, library in { io = io or 0, os = os, package = package or 0, debug = debug, string = string, table = table,
    coroutine = coroutine, buffer = buffer, bit32 = bit32, utf8 = utf8, vector = vector } do
    visit(library, name)
end
visit(_G, "_G") visit(shared, "shared") visit(getmetatable(""), "meta") visit(getmetatable(_G), "meta")
visit(getmetatable(vector.zero), "meta") visit(getmetatable(game), "meta") visit(getmetatable(Enum), "meta")
for _, name in names do print(name) end
"""
HARMLESS = {
    "os": {"clock", "date", "difftime", "time"},
    "debug": {
        "info", "traceback", "profilebegin", "profileend", "setmemorycategory", "resetmemorycategory",
    },
    "coroutine": {"close", "create", "isyieldable", "resume", "running", "status", "wrap", "yield"},
}  # fmt: skip
PURE = ("string.", "table.", "buffer.", "bit32.", "utf8.", "vector.")


def test_nothing_of_the_host_is_reachable(sandbox):
    result = run(sandbox, REACHABLE, Limits())
    assert result.error is None
    names = [name for name in result.output if not name.startswith(PURE)]
    assert {name.split(".")[0]: set() for name in names} | {
        library: {name.split(".")[1] for name in names if name.startswith(library)} for library in HARMLESS
    } == HARMLESS


@pytest.mark.parametrize(
    "source",
    [
        'return io.open("/etc/passwd")',
        'return os.execute("true")',
        'return os.getenv("HOME")',
        'return loadstring("return 1")()',
        'return require("os")',
        "return getfenv(2)",
        "return setfenv(1, {})",
        'return debug.info(2, "f")',
        "return debug.getinfo(1)",
        'return collectgarbage("stop")',
        'getmetatable("").__index = nil',
        "string.format = nil",
        "math.huge = 1",
        "getmetatable(game).__index = nil",
        "setmetatable(game, {})",
        'rawset(game, "x", 1)',
        "table.clear(Enum)",
        "game.PlaceId = 5",
    ],
)
def test_what_would_lead_out_or_break_the_engine_errors(sandbox, source):
    result = run(sandbox, f"print(pcall(function() {source} end))")
    assert result.output[0].startswith("false "), result.output



def test_the_worker_leaves_when_its_user_is_gone():
    with Sandbox(processes=1) as pool:
        assert run(pool, "print(1)").ok
        process: subprocess.Popen = pool._workers[0]._process
        process.stdin.close()
        assert process.wait(timeout=5) == 0


@pytest.mark.parametrize(
    ("checks", "problem"),
    [
        ("return {}", "returns no checks"),
        ("error('no')", "checks:1: no"),
        ("return { checks = { { name = 'a', use = 'normal' } } }", "check 1 (a): run must be a function"),
        ("return { checks = { { name = 'a', use = 'usual', run = print } } }", "check 1 (a): use must be"),
        (
            "return { checks = { { name = 'a', use = 'edge', weight = -1, run = print } } }",
            "check 1 (a): weight must be",
        ),
        ("return { checks = { { use = 'edge', run = print } } }", "check 1: name must be"),
        ("return { setup = error, checks = { { name = 'a', use = 'edge', run = print } } }", "table"),
        ("while true do end", "did not come to an end"),
    ],
)
def test_broken_checks_say_what_is_wrong_with_them(sandbox, checks, problem):
    [result] = sandbox.run([Program("print(1)", checks=checks)])
    assert problem in result.broken
    assert "engine/" not in result.broken
    assert not any(check.passed for check in result.checks)
