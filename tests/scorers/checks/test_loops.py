import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import loops
from luau_rft.scorers.composite import score_code


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("while true do workspace.Name = 'a' end", False),
        ("while true do workspace.Name = 'a' task.wait(1) end", True),
        ("while true do game:GetService('RunService').Heartbeat:Wait() end", True),
        ("repeat workspace.Name = 'a' until false", False),
        ("local function step() workspace.Name = 'a' end while true do step() end", False),
        ("local function step() task.wait() end while true do step() end", True),
        ("function step() task.wait() end while true do step() end", True),
        ("while true do require(script.Step)() end", True),
        ("local M = {} function M.step() end while true do M.step() end", False),
        ("local enemy = require(script.Enemy).new() while true do enemy:step() end", True),
        ("while true do pcall(function() task.wait() end) end", True),
        ("while true do pcall(function() workspace.Name = '' end) end", False),
        ("while true do for _ = 1, 3 do break end workspace.Name = '' end", False),
        ("while true do workspace.Name = '' break end", True),
        # What ends a loop can change in it.
        ("while true do if workspace.Name == '' then break end end", False),
        ("while true do if workspace.Name == '' then break end workspace.Name = '' end", True),
        ("local i = 0 while true do i += 1 if i > 9 then break end end", True),
        ("local i = 0 while i < 9 do print(i) end", False),
        ("local i = 0 while i < 9 do print(i) i = i + 1 end", True),
        ("local on = true while on do workspace.Name = '' end", False),
        ("local on = true local function stop() on = false end while on do stop() end", True),
        ("local on = true while on do require(script.Stop)() end", True),
        ("local part = script while part do part = part.Parent end", True),
        ("repeat local part = workspace:FindFirstChild('Door') until part", False),
        ("repeat local part = workspace:FindFirstChild('Door') task.wait() until part", True),
        ("repeat local x = math.random() until x > 0.5", True),
        ("local list = { 1 } while #list > 0 do table.remove(list) end", True),
        ("local list, i = { 1 }, 1 while list[i] do i += 1 end", True),
        ("local codes, i = { 1 }, 1 while codes[i] and codes[i] > 0 do i += 1 end", True),
        ("while not workspace:FindFirstChild('Door') do end", False),
        ("while not workspace:FindFirstChild('Door') do Instance.new('Part', workspace).Name = 'Door' end", True),
        ("while not workspace:WaitForChild('Door', 1) do end", True),
        ("local start = os.clock() repeat until os.clock() - start > 1", False),
        ("local start = os.clock() repeat work() until os.clock() - start > 1", True),
        ("for i = 1, math.huge do print(i) end", False),
        ("for i = 1, math.huge do task.wait() end", True),
        ("for i = 1, 1e9 do print(i) end", False),
        ("for i = 1, 1000 do print(i) end", True),
        ("local i = 1 while i < 9 do local step = i * 2 i = step + 1 end", True),
        ("local i = 1 while i < 9 do local step = i * 2 local twice = step * 2 i = twice + 1 end", True),
        ("local i = 1 while i < 9 do local _, e = f:find('x', i) i = e + 1 end", True),
        ("local i = 1 while i < 9 do local step = 2 i = step + 1 end", False),
        ("local part = script while part do local above = part.Parent part = above and above.Parent end", True),
        (
            "local lo, hi = 1, #list while lo <= hi do local mid = (lo + hi) // 2 "
            "if list[mid] < x then lo = mid + 1 else hi = mid - 1 end end",
            True,
        ),
        # What is broken is not judged.
        ("repeat until", True),
        ("while", True),
    ],
)
def test_endless_loop(code, ends):
    assert [node.line for node, _ in loops.endless_loop(parse(code), None)] == ([] if ends else [1])


@pytest.mark.parametrize(
    ("code", "lines"),
    [("while task.wait() do f() end", [1]), ("while f(wait()) do f() end", []), ("repeat f() until wait()", [])],
)
def test_wait_as_condition(code, lines):
    assert [node.line for node, _ in loops.wait_as_condition(parse(code), None)] == lines


def test_a_loop_that_freezes_the_server_is_not_good_enough():
    code = "local Lighting = game:GetService('Lighting')\nwhile true do\n\tLighting.ClockTime += 0.1\nend\n"
    assert score_code(code, "server").bugs <= 0.2
