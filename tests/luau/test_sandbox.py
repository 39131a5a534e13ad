"""Programs that misbehave are results; the pool goes on, gives equal answers, and shows nothing of the host."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from luau_rft.luau import worker
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


# Each is one call that comes back to the VM only after minutes.
HANGING = {
    "find": 'string.find(string.rep("a", 1.6e7), string.rep("a", 8e6) .. "b", 1, true)',
    "move": "table.move({}, 1, 2e9, 2)",
}


@pytest.mark.parametrize("source", HANGING.values(), ids=HANGING.keys())
def test_what_hangs_in_native_code_is_killed(sandbox, source):
    start = time.monotonic()
    result = run(sandbox, source, Limits(wall_s=0.5))
    assert (result.ok, result.limit) == (False, "time")
    assert 0.5 <= time.monotonic() - start < 10
    assert run(sandbox, "print(1)").output == ["1"]


def test_steps_count_inside_patterns_too(sandbox):
    source = 'string.find(string.rep("a", 300), string.rep("a-", 20) .. "b")'
    assert run(sandbox, source, Limits(steps=100_000, wall_s=60)).limit == "time"


def test_a_hanging_check_is_killed_and_the_others_are_played(sandbox):
    checks = f"""
    return {{ checks = {{
        {{ name = "a", use = "normal", run = function() end }},
        {{ name = "b", use = "normal", run = function() {HANGING["find"]} end }},
        {{ name = "c", use = "normal", run = function() end }},
    }} }}
    """
    result = run(sandbox, "", Limits(wall_s=0.5), checks=checks)
    assert [check.passed for check in result.checks] == [True, False, True]
    assert result.checks[1].message == "killed: it hung"
    assert result.limit == "time"


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


# What a run's process may do when its own limits hold: nothing here goes through the VM.
RESTRICTED = """
import socket, sys
from luau_rft.luau import worker
worker._restrict({"memory_mb": 16, "wall_s": 1.0})
for attempt in (lambda: bytearray(200 * 2**20), lambda: open("/etc/passwd"), socket.socket):
    try:
        attempt()
    except (MemoryError, OSError) as error:
        print(type(error).__name__)
while True:
    pass
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems limit no address space")
def test_the_process_of_a_run_has_limits_of_its_own():
    environment = {"PYTHONPATH": str(Path(worker.__file__).parents[2])}
    command = [sys.executable, "-u", "-c", RESTRICTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["MemoryError", "OSError", "OSError"]
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)  # 2 seconds of computing


@pytest.mark.parametrize(
    "source",
    [
        "local function f() return 1 + f() end\nf()",
        "local function f() string.gsub('a', 'a', f) end\nf()",
        "local function f() table.sort({ 2, 1 }, f) end\nf()",
        "local function f() task.spawn(f) end\nf()",
        "local t t = setmetatable({}, { __index = function(_, k) return t[k] end })\nprint(t.a)",
        "local t t = setmetatable({}, { __tostring = function() return tostring(t) end })\nprint(t)",
    ],
)
def test_endless_recursion_hits_the_recursion_limit(sandbox, source):
    result = run(sandbox, source)
    assert (result.ok, result.limit) == (False, "recursion")
    assert "stack overflow" in result.error["message"]
    assert len(result.error["traceback"]) < 50


@pytest.mark.parametrize(
    "source",
    [
        "local function f() pcall(f) end\nf()",
        "local function f() xpcall(f, f) end\nf()",
        "local function f() coroutine.wrap(f)() end\nf()",
        "local t = {} for i = 1, 1e5 do t = { t } end game:GetService('HttpService'):JSONEncode(t)",
        "game:GetService('HttpService'):JSONDecode(string.rep('[', 1e5))",
        "string.find('x', string.rep('(', 1e5))",
        "local e = Instance.new('BindableEvent') e.Event:Connect(function() e:Fire() end) e:Fire()",
    ],
)
def test_deep_nesting_ends_without_a_crash(sandbox, source):
    assert run(sandbox, source).limit != "crash"


def test_output_is_cut_at_the_limit(sandbox):
    result = run(sandbox, 'for i = 1, 1000 do print("0123456789") end')
    assert result.limit == "output"
    assert sum(map(len, result.output)) <= SHORT.output_bytes


def test_what_a_run_reports_is_bounded_whatever_it_names(sandbox):
    source = """
    local name = string.rep("x", 1e5)
    for i = 1, 100 do
        task.spawn(error, name .. i)
        task.spawn(require, name .. i)
        task.spawn(function() game:GetService(name .. i) end)
        warn(name .. i)
    end
    error(name)
    """
    result = run(sandbox, source, Limits(seconds=1))
    assert result.limit in ("output", "memory")
    assert len(str(result)) < 1_000_000


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


def descendants(pid):
    """The forks of a worker: its thread starts them, so they are listed under that thread."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (thread / "children").read_text().split()]
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("killer", [signal.SIGSEGV, signal.SIGKILL])
def test_a_run_that_dies_is_reported_and_the_same_worker_goes_on(killer):
    with Sandbox(processes=1) as pool:
        assert run(pool, "print(1)").ok
        [pid] = pool.pids

        def kill():
            while not (forks := descendants(pid)):
                time.sleep(0.01)
            os.kill(forks[0], killer)

        thread = threading.Thread(target=kill)
        thread.start()
        results = list(pool.run([Program(HANGING["find"]), Program("print(2)")]))
        thread.join()
        assert pool.pids == [pid]
    assert [(result.ok, result.limit) for result in results] == [(False, "crash"), (True, None)]
    assert results[1].output == ["2"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_run_that_is_slow_to_begin_is_no_hang():
    """As on a machine so busy that the fork gets no processor for a while."""
    with Sandbox(processes=1) as pool:
        assert run(pool, "print(1)").ok
        [pid] = pool.pids
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(2, os.kill, (pid, signal.SIGCONT)).start()
        assert run(pool, "print(2)", Limits(wall_s=1)).output == ["2"]


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


# Calls everything that can be reached with arguments of every kind; looks into what comes back and what goes wrong.
PROBE = """
local things = { _G, shared, getmetatable(""), getmetatable(game), "", 1, true, game, workspace, Enum, Vector3.one,
    newproxy(true), coroutine.create(print), function() end, string.rep("%p%s%d%x", 3), -1, 0 / 0, 2 ^ 53,
    setmetatable({}, { __tostring = function() return nil end }), buffer.create(8) }
local seen = {}
local function look(value, path)
    local kind = type(value)
    if kind == "string" then
        print(path, string.sub(value, 1, 300))
    elseif kind == "table" and not seen[value] then
        seen[value] = true
        for key, item in next, value do look(key, path) look(item, path) end
    elseif kind == "userdata" then
        print(path, typeof(value), string.sub(tostring(value), 1, 300))
    end
end
for _, name in NAMES do
    local library = LOOKUP(name)
    local members = if typeof(library) == "table" then library else { library }
    for key, member in members do
        local path = name .. "." .. tostring(key)
        if type(member) ~= "function" then
            look(member, path)
            continue
        end
        for _, first in things do
            for _, second in { nil, "s", 2, game } do
                local thread = coroutine.create(function() return pcall(member, first, second, "x") end)
                look({ coroutine.resume(thread) }, path)
                look(debug.traceback(), path)
            end
        end
    end
end
"""
GLOBALS = [
    "assert", "bit32", "buffer", "collectgarbage", "coroutine", "debug", "error", "gcinfo", "getfenv", "getmetatable",
    "ipairs", "loadstring", "math", "newproxy", "next", "os", "pairs", "pcall", "rawequal", "rawget", "rawlen",
    "rawset", "require", "script", "select", "setfenv", "setmetatable", "shared", "string", "table", "tonumber",
    "tostring", "type", "typeof", "unpack", "utf8", "vector", "xpcall", "_G", "_VERSION", "game", "workspace",
    "Instance", "Enum", "task", "tick", "time", "version", "settings", "UserSettings", "PluginManager", "Vector3",
    "Vector2", "CFrame", "Color3", "UDim", "UDim2", "Ray", "Random", "DateTime", "BrickColor", "TweenInfo",
    "NumberRange", "NumberSequence", "ColorSequence", "RaycastParams", "OverlapParams", "Region3", "Rect", "Axes",
    "Faces", "Font", "elapsedTime",
]  # fmt: skip
FOREIGN = [
    "io", "package", "dofile", "loadfile", "load", "module", "import", "python", "lua", "pluau", "ffi", "jit",
    "posix", "socket", "http", "sys", "builtins", "eval", "exec", "open", "__import__", "_pluau", "arg", "process",
    "subprocess", "context", "chunks", "engine", "interrupt",
]  # fmt: skip
OF_THE_HOST = (
    "python",
    "Python",
    ".py",
    "/usr",
    "/home",
    "/root",
    "/tmp",
    "site-packages",
    "<class",
    "object at",
    ".so",
)


@pytest.mark.parametrize("name", GLOBALS)
def test_nothing_that_a_function_returns_or_raises_tells_of_the_host(sandbox, name):
    lookup = f"local NAMES = {{ '{name}' }}\nlocal function LOOKUP(_) return {name} end\n"
    result = run(sandbox, lookup + PROBE, Limits(output_bytes=4_000_000, seconds=5))
    assert result.limit not in ("crash", "output")
    shown = [line.split(" ", 1)[-1] for line in result.output]
    assert [line for line in shown if any(mark in line for mark in OF_THE_HOST)] == []


def test_globals_of_the_host_do_not_exist(sandbox):
    result = run(sandbox, "".join(f"print('{name}', {name})\n" for name in FOREIGN))
    assert result.output == [f"{name} nil" for name in FOREIGN]


def test_errors_of_the_vm_are_plain_texts(sandbox):
    source = """
    local function show(...)
        local _, message = pcall(...)
        print(typeof(message))
    end
    show(function() local x = nil + 1 end)
    show(function() string.rep("x", 2 ^ 31) end)
    show(function() string.rep("x", 1e8) end)
    show(string.format, "%d", {})
    show(function() local function f() return 1 + f() end f() end)
    show(coroutine.wrap(function() error() end))
    show(Instance.new, "Nothing")
    show(function() game.Nothing = 1 end)
    """
    output = run(sandbox, source).output
    assert set(output) <= {"string", "nil"}
    assert len(output) == 8


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
