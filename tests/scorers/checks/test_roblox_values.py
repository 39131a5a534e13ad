import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import roblox_values


@pytest.mark.parametrize(
    ("check", "code", "count"),
    [
        ("color3_new_range", "f(Color3.new(255, 0, 0))", 1),
        ("color3_new_range", "f(Color3.new(1, 0.5, 0))", 0),
        ("color3_new_range", "f(Color3.fromRGB(1, 0.5, 0))", 1),
        ("color3_new_range", "f(Color3.fromRGB(1, 1, 1))", 0),
        ("color3_new_range", "local Color3 = {}\nf(Color3.new(255, 0, 0))", 0),
        ("suspicious_udim2_new", "f(UDim2.new(1, 1))", 1),
        ("suspicious_udim2_new", "f(UDim2.new(x, y))", 0),
        ("suspicious_udim2_new", "f(UDim2.new(UDim.new(), UDim.new()))", 0),
        ("suspicious_udim2_new", "f(UDim2.new(1, f()))", 0),
        ("suspicious_udim2_new", "f(UDim2.new(200, 0, 50, 0))", 1),
        ("suspicious_udim2_new", "f(UDim2.new(1, -20, 0, 50))", 0),
        ("suspicious_udim2_new", "f(UDim2.new(0, 0.5, 0, 0.5))", 1),
        ("suspicious_udim2_new", "f(UDim2.fromScale(200, 50))", 1),
        ("manual_from_scale", "f(UDim2.new(1, 0, y, 0))", 1),
        ("manual_from_scale", "f(UDim2.new(0, 1, 0, y))", 1),
        ("manual_from_scale", "f(UDim2.new(0, 1, y, 0))", 0),
        ("manual_from_scale", "f(UDim2.new(0, 0, 0, 0))", 0),
        ("degrees_as_radians", "f(CFrame.Angles(0, 90, 0))", 1),
        ("degrees_as_radians", "f(CFrame.Angles(0, -45, 0))", 1),
        ("degrees_as_radians", "f(CFrame.Angles(0, 6.28, 0))", 0),
        ("degrees_as_radians", "f(CFrame.Angles(0, math.rad(90), 0))", 0),
        ("degrees_as_radians", "f(math.cos(180))", 1),
        ("degrees_as_radians", "f(math.cos(5))", 0),
        ("unknown_brick_color", "f(BrickColor.new('Red'))", 1),
        ("unknown_brick_color", "f(BrickColor.new('Really red'))", 0),
        ("unknown_brick_color", "f(BrickColor.new('Tr. Red'))", 0),
        ("unknown_brick_color", "f(BrickColor.new(1, 0, 0))", 0),
        ("reversed_bounds", "f(math.random(10, 1))", 1),
        ("reversed_bounds", "f(math.random(0))", 1),
        ("reversed_bounds", "f(math.random(0, 1))", 0),
        ("reversed_bounds", "f(math.clamp(x, 1, 0))", 1),
        ("reversed_bounds", "f(math.clamp(1, 0, x))", 0),
        ("reversed_bounds", "f(NumberRange.new(2, 1))", 1),
        ("reversed_bounds", "f(random:NextInteger(9, 1))", 1),
        ("sequence_keypoints", "f(NumberSequence.new({ NumberSequenceKeypoint.new(0, 1) }))", 1),
        ("sequence_keypoints", "f(NumberSequence.new(0, 1))", 0),
        ("sequence_keypoints", "f(ColorSequence.new({ ColorSequenceKeypoint.new(t, c) }))", 0),
        ("manual_from_scale", "f(UDim2.new(0.5, 0, 1, 0))", 1),
        ("manual_from_scale", "f(UDim2.new(200, 0, 100, 0))", 0),  # these are pixels
        ("negative_wait", "task.wait(-1)", 1),
        ("negative_wait", "task.wait(0)", 0),
    ],
)
def test_findings(check, code, count):
    assert len(list(getattr(roblox_values, check)(parse(code), None))) == count
