"""Values made of numbers that mean something else: colours, sizes, angles, ranges."""

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from luau_rft import roblox
from luau_rft.luau.literals import literal, number
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import Node, Tree, arguments, callee, method, root_name
from luau_rft.scorers.base import Hit

_ANGLES = ("CFrame.Angles", "CFrame.fromEulerAngles", "CFrame.fromEulerAnglesXYZ", "CFrame.fromEulerAnglesYXZ",
           "CFrame.fromOrientation")  # fmt: skip
_DEGREES = frozenset({30, 45, 60, 90, 120, 135, 180, 270, 360})
_PALETTE = Path(roblox.__file__).with_name("engine") / "datatypes" / "palette.luau"
# See-through and two-coloured ones, which the palette leaves out.
_OLD_COLOURS = re.compile(r"Tr\. |Transparent$|.* flip/flop$")
_MOST_SCALE = 10  # times the size of the parent
_BOUNDS = {"math.clamp": 1, "math.random": 0, "NumberRange.new": 0}  # where the lower bound stands


def color3_new_range(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A ``Color3.new`` with a part above 1, or a ``Color3.fromRGB`` with fractions of 1.

    Bad:
        workspace.Part.Color = Color3.new(255, 0, 128)
    Bad:
        workspace.Part.Color = Color3.fromRGB(1, 0.5, 0)
    Good:
        workspace.Part.Color = Color3.fromRGB(255, 0, 128)
    Like: selene roblox_incorrect_color3_new_bounds
    """
    for call in _built(tree, "Color3.new"):
        if any(part > 1 for part in _numbers(call) if part is not None):
            yield call, "Color3.new takes parts from 0 to 1: use Color3.fromRGB for parts up to 255"
    for call in _built(tree, "Color3.fromRGB"):
        parts = _numbers(call)
        if parts and all(part is not None and 0 <= part <= 1 for part in parts) and any(part % 1 for part in parts):
            yield call, "Color3.fromRGB takes parts up to 255: use Color3.new for parts from 0 to 1"


def suspicious_udim2_new(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A ``UDim2.new`` whose scales or offsets cannot be meant: two numbers, a scale of many parents, a part of a pixel.

    Bad:
        script.Parent.Size = UDim2.new(1, 1)
    Bad:
        script.Parent.Size = UDim2.new(200, 0, 50, 0)
    Bad:
        script.Parent.Size = UDim2.fromOffset(0.5, 0.5)
    Good:
        script.Parent.Size = UDim2.fromScale(1, 1)
    Good:
        script.Parent.Size = UDim2.new(0, 200, 0, 50)
    Like: selene roblox_suspicious_udim2_new
    """
    for call in _built(tree, "UDim2.new", "UDim2.fromScale", "UDim2.fromOffset"):
        values, name = _numbers(call), callee(call)
        if name == "UDim2.new" and 0 < len(values) < 4 and values[0] is not None:
            last = arguments(call)[-1].type
            if last not in ("function_call", "vararg_expression"):
                yield (
                    call,
                    "UDim2.new takes scale and offset of x, then of y: use UDim2.fromScale or fromOffset for two",
                )
            continue
        step = 2 if name == "UDim2.new" else 1
        scales = [] if name == "UDim2.fromOffset" else values[::step]
        offsets = values[1::2] if name == "UDim2.new" else [] if name == "UDim2.fromScale" else values
        if any(scale is not None and abs(scale) > _MOST_SCALE for scale in scales) and not any(offsets):
            yield call, "a scale of 1 is the whole parent: pixels are given by the offsets"
        elif any(offset is not None and 0 < abs(offset) < 1 for offset in offsets) and not any(scales):
            yield call, "offsets are whole pixels: parts of the parent are given by the scales"


def manual_from_scale(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A ``UDim2.new`` with scales only, or offsets only, which has a shorter form.

    Bad:
        script.Parent.Size = UDim2.new(0.5, 0, 0.25, 0)
    Good:
        script.Parent.Size = UDim2.fromScale(0.5, 0.25)
    Like: selene roblox_manual_fromscale_or_fromoffset
    """
    for call in _built(tree, "UDim2.new"):
        values = _numbers(call)
        if len(values) == 4 and values != [0, 0, 0, 0]:
            if values[1] == values[3] == 0 and not any(abs(scale or 0) > _MOST_SCALE for scale in values[::2]):
                yield call, "write UDim2.fromScale(x, y) where both offsets are 0"
            elif values[0] == values[2] == 0:
                yield call, "write UDim2.fromOffset(x, y) where both scales are 0"


def degrees_as_radians(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """An angle in degrees where radians are taken.

    Bad:
        workspace.Part.CFrame = CFrame.Angles(0, 90, 0)
    Bad:
        workspace.Gravity = math.sin(45)
    Good:
        workspace.Part.CFrame = CFrame.Angles(0, math.rad(90), 0)
    """
    for call in _built(tree, *_ANGLES):
        if any(angle is not None and abs(angle) > 2 * math.pi + 0.01 for angle in _numbers(call)):
            yield call, f"{callee(call)} takes radians: wrap degrees in math.rad"
    for call in _built(tree, "CFrame.fromAxisAngle", "math.sin", "math.cos", "math.tan"):
        angle = (_numbers(call) or [None])[-1]
        if angle is not None and abs(angle) in _DEGREES:
            yield call, f"{callee(call)} takes radians: wrap degrees in math.rad"


def unknown_brick_color(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A ``BrickColor.new`` with a name that is in no palette, which gives Medium stone grey.

    Bad:
        workspace.Part.BrickColor = BrickColor.new("Red")
    Good:
        workspace.Part.BrickColor = BrickColor.new("Bright red")
    """
    for call in _built(tree, "BrickColor.new"):
        name = literal(arguments(call)[0]) if len(arguments(call)) == 1 else None
        if name is not None and name not in _brick_colors() and not _OLD_COLOURS.match(name):
            yield call, f"there is no BrickColor {name[:40]!r}: this gives Medium stone grey"


def reversed_bounds(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A range whose lower bound is above the upper one, which raises an error.

    Bad:
        workspace.Gravity = math.random(100, 1)
    Bad:
        workspace.Gravity = math.clamp(workspace.Gravity, 200, 100)
    Good:
        workspace.Gravity = math.random(1, 100)
    """
    for call in [*_built(tree, *_BOUNDS), *tree.method_calls("NextInteger")]:
        at = _BOUNDS.get(callee(call), 0)
        low, high = [*_numbers(call), None, None, None][at : at + 2]
        if low is not None and high is not None and low > high and method(call) in (None, "NextInteger"):
            yield call, "the lower bound comes first"
        elif callee(call) == "math.random" and len(arguments(call)) == 1 and low is not None and low < 1:
            yield call, "math.random(n) takes an n of at least 1; leave it out for a number from 0 to 1"


def sequence_keypoints(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """Keypoints of a sequence that do not go from time 0 to time 1 in order, which raises an error.

    Bad:
        script.Parent.Size = NumberSequence.new({
            NumberSequenceKeypoint.new(0, 1),
            NumberSequenceKeypoint.new(0.5, 0),
        })
    Good:
        script.Parent.Size = NumberSequence.new({
            NumberSequenceKeypoint.new(0, 1),
            NumberSequenceKeypoint.new(1, 0),
        })
    """
    for call in _built(tree, "NumberSequence.new", "ColorSequence.new"):
        given = arguments(call)
        if len(given) != 1 or given[0].type != "table_constructor":
            continue
        points = [field.get("value") for field in given[0].children]
        times = [_time_of(point) for point in points if point is not None]
        if not times or None in times:
            continue
        if times[0] != 0 or times[-1] != 1 or times != sorted(times):  # type: ignore[type-var]
            yield call, "the keypoints' times must go from 0 to 1 in order"


def negative_wait(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A wait or delay of less than no time.

    Bad:
        task.wait(-1)
    Good:
        task.wait(1)
    """
    for call in _built(tree, "task.wait", "task.delay", "wait", "delay"):
        seconds = (_numbers(call) or [None])[0]
        if seconds is not None and seconds < 0:
            yield call, f"{callee(call)} takes seconds from 0 on"


def _built(tree: Tree, *names: str) -> list[Node]:
    """The calls of these functions of the platform, not of locals that have their names."""
    scopes = resolve(tree)
    return [call for call in tree.calls(*names) if root_name(call.get("name")) not in scopes.of]


def _numbers(call: Node) -> list[float | None]:
    return [number(argument) for argument in arguments(call)]


def _time_of(point: Node) -> float | None:
    if point.type != "function_call" or not callee(point).endswith("SequenceKeypoint.new"):
        return None
    return (_numbers(point) or [None])[0]


@cache
def _brick_colors() -> frozenset[str]:
    return frozenset(re.findall(r'\{ \d+, "([^"]+)"', _PALETTE.read_text(encoding="utf-8")))
