"""Age: old names, on values of unknown type too, and names that are a script's own."""

import pytest

from luau_rft.scorers.api import score


def found(source: str) -> list[str]:
    return [finding.message for finding in score(source).findings if finding.rule == "deprecated"]


@pytest.mark.parametrize(
    ("source", "replacement"),
    [
        ("button.MouseButton1Click:connect(print)", "Connect"),
        ("for _, c in ipairs(model:getChildren()) do print(c) end", "GetChildren"),
        ('local door = model:findFirstChild("Door")', "FindFirstChild"),
        ('if hit:isA("BasePart") then print(1) end', "IsA"),
        ("print((a.Position - b.Position).magnitude)", "Magnitude"),
        ("print(root.CFrame.lookVector)", "LookVector"),
        ('local function f(x) x:SetAttribute("a", 1) x:remove() end', "Destroy"),
        ('local function f(x) x:SetAttribute("a", 1) return x:clone() end', "Clone"),
        ("delay(1, print)", "task.delay"),
        ("ypcall(print)", "pcall"),
        ('LoadLibrary("RbxUtility")', "require of a ModuleScript"),
        ("table.foreach({}, print)", "for ... in"),
        ("print(Enum.RaycastFilterType.Blacklist)", "Exclude"),
        ("workspace.Model:SetPrimaryPartCFrame(CFrame.new())", "PivotTo"),
        ("workspace:findPartOnRay(ray)", "Raycast"),
        ('Instance.new("RocketPropulsion")', "LinearVelocity and AlignOrientation"),
    ],
)
def test_old_names_are_found_with_their_successors(source: str, replacement: str) -> None:
    messages = found(source)
    assert len(messages) == 1
    assert messages[0].endswith(f"use {replacement}")


@pytest.mark.parametrize(
    "source",
    [
        "local queue = Queue.new() queue:remove() queue:destroy() queue:clone()",
        "local Signal = {} function Signal:connect(f) end self.Fired:connect(print) Signal:connect(print)",
        "local s = { Touched = Signal.new() } s.Touched:connect(print)",
        "function Node:getChildren() return {} end print(node:getChildren())",
        "local v = Vector.new(1, 2) print(v.magnitude, v.unit, v.x)",
        "local function clean(x) if x.destroy then x:destroy() elseif x.Parent then x:Destroy() end end",
        "local wait = task.wait wait(1)",
        "print(Enum.KeyCode.Unknown, props.className, element.children)",
    ],
)
def test_a_scripts_own_names_are_left_alone(source: str) -> None:
    assert found(source) == []
