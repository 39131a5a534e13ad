"""Roblox's datatypes, exercised in the real VM."""

import json
from pathlib import Path

import pytest

from luau_rft.luau.native import native

ROBLOX = Path(__file__).parents[2] / "luau_rft" / "roblox"
ENGINE = ROBLOX / "engine"
API = json.loads((ROBLOX / "api.json").read_text())


def luau(value):
    """A literal for a table of tables of numbers."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'["{key}"] = {luau(item)}' for key, item in value.items()) + "}"
    return str(value)


# A small engine: runs the real files, names the types of their values, and sets the globals of the program.
START = """
local chunks, program = ...
local loaded = {}
local function require(name)
	if loaded[name] == nil then
		loaded[name] = chunks[name](require, {})
	end
	return loaded[name]
end
local internal
local function typeof_(value)
	return internal and internal.typeName(value) or typeof(value)
end
local clock = 1700000000
local datatypes
datatypes, internal = require("datatypes/init")({
	enums = require("enums"),
	now = function() return clock end,
	seed = 7,
	typeof = typeof_,
})
local globals = { typeof = typeof_, datatypes = datatypes, records = internal.records }
function globals.advance(seconds) clock += seconds end
function globals.same(actual, expected, what)
	if actual ~= expected then
		error(`{what or "value"}: expected {expected}, got {actual}`, 2)
	end
end
function globals.near(actual, expected, tolerance)
	local difference = actual - expected
	local distance = if type(actual) == "vector" then vector.magnitude(difference) else math.abs(difference)
	if not (distance <= (tolerance or 1e-5)) then
		error(`expected {expected}, got {actual}`, 2)
	end
end
function globals.fails(callback, message)
	local ok, err = pcall(callback)
	if ok then
		error(`no error, expected {message}`, 2)
	elseif not string.find(err, message, 1, true) then
		error(`expected the error {message}, got {err}`, 2)
	elseif not string.match(err, "^Script:%d+: ") then
		error(`not blamed on the script: {err}`, 2)
	end
end
for name, value in datatypes do
	globals[name] = value
end
return program(setmetatable(globals, { __index = getfenv() }))
"""


@pytest.fixture(scope="module")
def parts():
    """The engine's files and the enums as chunks, compiled once."""
    compiler = native().Compiler(optimization_level=1, debug_level=1, type_info_level=0, coverage_level=0)
    names = ["log", *(f"datatypes/{path.stem}" for path in sorted((ENGINE / "datatypes").glob("*.luau")))]
    sources = {name: (ENGINE / f"{name}.luau").read_text() for name in names}
    return {
        name: bytes(compiler.compile(source))
        for name, source in {**sources, "enums": f"return {luau(API['enums'])}"}.items()
    }


@pytest.fixture
def run(parts):
    """Runs a program with the datatypes as globals and returns its numbers."""

    def run(program):
        lua = native().Lua()
        lua.set_type_metatable(native().LuaType.Vector, lua.create_table())
        chunks = lua.create_table()
        for name, code in parts.items():
            chunks.set(name, lua.load_chunk(code, f"=engine/{name}", None, True))
        start = lua.load_chunk(START, "=start")
        return list(start(chunks, lua.load_chunk(f"setfenv(1, ...) {program}", "=Script")))

    return run


def test_vector3(run):
    run("""
    local v = Vector3.new(3, 4, 0)
    same(typeof(v), "Vector3")
    same(v.Magnitude, 5)
    near(v.Unit, Vector3.new(0.6, 0.8, 0))
    same(v + Vector3.one * 2, Vector3.new(5, 6, 2))
    same(2 * v - v / 2, Vector3.new(4.5, 6, 0))
    same(-v, Vector3.new(-3, -4, 0))
    same(v // 2, Vector3.new(1, 2, 0))
    same(v:Dot(Vector3.xAxis), 3)
    same(Vector3.xAxis:Cross(Vector3.yAxis), Vector3.zAxis)
    same(Vector3.zero:Lerp(v, 0.5), Vector3.new(1.5, 2, 0))
    same(v:Max(Vector3.new(1, 9, 1), Vector3.new(0, 0, 2)), Vector3.new(3, 9, 2))
    same(Vector3.new(-1.5, 1.5, 0):Floor(), Vector3.new(-2, 1, 0))
    same(Vector3.new(-1.5, 1.5, 0):Sign(), Vector3.new(-1, 1, 0))
    near(Vector3.xAxis:Angle(Vector3.yAxis), math.pi / 2)
    near(Vector3.xAxis:Angle(Vector3.yAxis, -Vector3.zAxis), -math.pi / 2)
    same(v:FuzzyEq(v + Vector3.one * 1e-6), true)
    same(v:FuzzyEq(v + Vector3.one * 1e-2), false)
    same(Vector3.new(0.1).X, 0.10000000149011612, "32-bit float")
    same(Vector3.FromNormalId(Enum.NormalId.Front), Vector3.new(0, 0, -1))
    same(Vector3.fromAxis(Enum.Axis.Y), Vector3.yAxis)
    same(tostring(Vector3.new(1, 2.5, -3)), "1, 2.5, -3")
    same(({ [Vector3.new(1, 2, 3)] = "found" })[Vector3.new(1, 2, 3)], "found", "equal by value as a key")
    same(pcall(setmetatable, v, {}), false)
    fails(function() v.X = 1 end, "X cannot be assigned to")
    fails(function() v.foo = 1 end, "foo is not a valid member of Vector3")
    fails(function() return v.foo end, "foo is not a valid member of Vector3")
    fails(function() return v + 1 end, "attempt to perform arithmetic (add) on Vector3 and number")
    fails(function() return v < v end, "attempt to compare Vector3 < Vector3")
    fails(function() return v:Dot(1) end, "invalid argument #1 to 'Dot' (Vector3 expected, got number)")
    fails(function() return Vector3.new("x") end, "invalid argument #1 to 'new' (number expected, got string)")
    """)


def test_vector2(run):
    run("""
    local v = Vector2.new(3, 4)
    same(typeof(v), "Vector2")
    same(v.X + v.Y, 7)
    same(v.Magnitude, 5)
    same(v.Unit.Magnitude, 1)
    same(v * 2, Vector2.new(6, 8))
    same(2 * v / 4, Vector2.new(1.5, 2))
    same(v * Vector2.new(2, 0.5), Vector2.new(6, 2))
    same(v / v, Vector2.one)
    same(v - Vector2.one, Vector2.new(2, 3))
    same(-v, Vector2.new(-3, -4))
    same(v // 2, Vector2.new(1, 2))
    same(v:Dot(Vector2.new(1, 1)), 7)
    same(Vector2.xAxis:Cross(Vector2.yAxis), 1)
    same(v:Min(Vector2.new(9, 1)), Vector2.new(3, 1))
    same(v:Lerp(Vector2.zero, 0.5), Vector2.new(1.5, 2))
    near(Vector2.yAxis:Angle(Vector2.xAxis, true), -math.pi / 2)
    same(tostring(Vector2.new(1.5, 2)), "1.5, 2")
    same(v == Vector2.new(3, 5), false)
    same(v == 3, false)
    fails(function() return v + 1 end, "attempt to perform arithmetic (add) on Vector2 and number")
    fails(function() v.X = 1 end, "X cannot be assigned to")
    fails(function() return v.Z end, "Z is not a valid member of Vector2")
    fails(function() return v .. "" end, "attempt to concatenate Vector2 with string")
    fails(function() for _ in v do end end, "attempt to iterate over a Vector2 value")
    fails(function() return v() end, "attempt to call a Vector2 value")
    """)


def test_cframe(run):
    run("""
    local turn = CFrame.Angles(0, math.rad(90), 0)
    near(turn.LookVector, Vector3.new(-1, 0, 0))
    near(turn * Vector3.new(0, 0, -2), Vector3.new(-2, 0, 0))
    local moved = CFrame.new(1, 2, 3) * turn
    same(moved.Position, Vector3.new(1, 2, 3))
    same(moved.X + moved.Y + moved.Z, 6)
    near((moved * CFrame.new(0, 0, -5)).Position, Vector3.new(-4, 2, 3))
    near((moved + Vector3.yAxis).Position - (moved - Vector3.yAxis).Position, Vector3.new(0, 2, 0))
    same((moved * moved:Inverse()):FuzzyEq(CFrame.identity), true)
    near(moved:PointToObjectSpace(moved:PointToWorldSpace(Vector3.new(4, 5, 6))), Vector3.new(4, 5, 6), 1e-4)
    local a, b = moved:VectorToWorldSpace(Vector3.xAxis, Vector3.yAxis)
    near(a, Vector3.new(0, 0, -1))
    same(b, Vector3.yAxis)
    same(moved:ToWorldSpace(moved:ToObjectSpace(CFrame.new(9, 8, 7))):FuzzyEq(CFrame.new(9, 8, 7)), true)
    same(CFrame.new(1, 2, 3), CFrame.new(Vector3.new(1, 2, 3)))
    same(CFrame.new(1, 2, 3) == CFrame.new(1, 2, 4), false)

    local look = CFrame.lookAt(Vector3.new(0, 5, 0), Vector3.new(10, 5, 0))
    near(look.LookVector, Vector3.xAxis)
    near(look.UpVector, Vector3.yAxis)
    near(look.RightVector, Vector3.zAxis)
    same(look, CFrame.new(Vector3.new(0, 5, 0), Vector3.new(10, 5, 0)))
    for _, direction in { Vector3.yAxis, -Vector3.yAxis } do
        local steep = CFrame.lookAlong(Vector3.zero, direction)
        near(steep.LookVector, direction)
        near(steep.RightVector:Cross(steep.UpVector), -direction)
        near(steep.UpVector.Magnitude, 1)
    end
    same(CFrame.lookAt(Vector3.one, Vector3.one), CFrame.new(Vector3.one), "no direction, no rotation")

    for _, order in Enum.RotationOrder:GetEnumItems() do
        local x, y, z = CFrame.fromEulerAngles(0.3, -0.4, 0.5, order):ToEulerAngles(order)
        near(x, 0.3) near(y, -0.4) near(z, 0.5)
        local locked = CFrame.fromEulerAngles(math.pi / 2, math.pi / 2, math.pi / 2, order)
        same(CFrame.fromEulerAngles(locked:ToEulerAngles(order)):FuzzyEq(locked) or order.Name ~= "XYZ", true)
    end
    near(select(2, CFrame.fromOrientation(0.1, 0.2, 0.3):ToOrientation()), 0.2)
    near(select(3, CFrame.Angles(0.1, 0.2, 0.3):ToEulerAnglesXYZ()), 0.3)
    -- Roblox's documentation: Angles applies Z, then Y, then X.
    same(CFrame.Angles(0.1, 0.2, 0.3):FuzzyEq(
        CFrame.Angles(0.1, 0, 0) * CFrame.Angles(0, 0.2, 0) * CFrame.Angles(0, 0, 0.3)), true)
    same(CFrame.fromOrientation(0.1, 0.2, 0.3):FuzzyEq(
        CFrame.Angles(0, 0.2, 0) * CFrame.Angles(0.1, 0, 0) * CFrame.Angles(0, 0, 0.3)), true)

    for _, angle in { 0.5, 2, math.pi } do
        local axis = Vector3.new(1, 2, -2).Unit
        local rotation = CFrame.fromAxisAngle(axis, angle)
        local foundAxis, foundAngle = rotation:ToAxisAngle()
        near(foundAngle, angle, 1e-3)
        near(math.abs(foundAxis:Dot(axis)), 1, 1e-4)
    end
    near(CFrame.identity:AngleBetween(turn), math.pi / 2)
    local half = CFrame.identity:Lerp(CFrame.new(4, 0, 0) * turn, 0.5)
    near(half.Position, Vector3.new(2, 0, 0))
    same(half.Rotation:FuzzyEq(CFrame.Angles(0, math.rad(45), 0)), true)
    same(CFrame.new(0, 0, 0, 0, math.sin(0.5), 0, math.cos(0.5)):FuzzyEq(CFrame.Angles(0, 1, 0)), true, "quaternion")
    same(CFrame.new(moved:GetComponents()), moved)
    same(CFrame.fromMatrix(moved.Position, moved.XVector, moved.YVector):FuzzyEq(moved), true)
    same((moved * CFrame.new(0, 0, 0)):Orthonormalize():FuzzyEq(moved), true)
    for _, to in { Vector3.yAxis, -Vector3.xAxis, Vector3.xAxis } do
        near(CFrame.fromRotationBetweenVectors(Vector3.xAxis, to) * Vector3.xAxis, to)
    end

    same(tostring(CFrame.new(1, 2, 3)), "1, 2, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1")
    fails(function() return moved * 2 end, "attempt to perform arithmetic (mul) on CFrame and number")
    fails(function() return 2 * moved end, "attempt to perform arithmetic (mul) on number and CFrame")
    fails(function() return Vector3.one * moved end, "attempt to perform arithmetic (mul) on Vector3 and CFrame")
    fails(function() return moved + moved end, "attempt to perform arithmetic (add) on CFrame and CFrame")
    fails(function() return -moved end, "attempt to perform arithmetic (unm) on CFrame")
    fails(function() moved.Position = Vector3.zero end, "Position cannot be assigned to")
    fails(function() return moved.Foo end, "Foo is not a valid member of CFrame")
    fails(function() return CFrame.new(1, 2) end, "invalid argument #1 to 'new' (Vector3 expected, got number)")
    fails(function() return CFrame.new({}) end, "invalid argument #1 to 'new' (Vector3 expected, got table)")
    fails(function() return moved:Lerp(nil, 0.5) end, "invalid argument #1 to 'Lerp' (CFrame expected, got nil)")
    """)


def test_interface_types(run):
    run("""
    local udim = UDim.new(0.5, 10)
    same(udim + UDim.new(0.25, 5), UDim.new(0.75, 15))
    same(udim - udim, UDim.new())
    same(-udim, UDim.new(-0.5, -10))
    same(UDim.new(0, 1.9).Offset, 1)
    same(UDim.new(0, -1.9).Offset, -1)
    same(tostring(udim), "0.5, 10")

    local size = UDim2.new(0.5, 10, 0, 100)
    same(size.X, udim)
    same(size.Height.Offset, 100)
    same(size, UDim2.new(udim, UDim.new(0, 100)))
    same(UDim2.fromScale(0.5, 0) + UDim2.fromOffset(10, 100), size)
    same(size - size, UDim2.new())
    same(UDim2.new():Lerp(UDim2.new(1, 10, 0.5, 25), 0.5), UDim2.new(0.5, 5, 0.25, 13))
    same(tostring(size), "{0.5, 10}, {0, 100}")
    fails(function() return size + udim end, "attempt to perform arithmetic (add) on UDim2 and UDim")
    fails(function() return size * 2 end, "attempt to perform arithmetic (mul) on UDim2 and number")
    fails(function() size.X = udim end, "X cannot be assigned to")
    fails(function() return size.Scale end, "Scale is not a valid member of UDim2")
    fails(function() return UDim2.new(Vector2.one) end, "invalid argument #1 to 'new' (number expected, got Vector2)")

    local rect = Rect.new(1, 2, 11, 22)
    same(rect, Rect.new(Vector2.new(1, 2), Vector2.new(11, 22)))
    same(rect.Width * rect.Height, 200)
    same(tostring(rect), "1, 2, 11, 22")

    local font = Font.fromEnum(Enum.Font.GothamBold)
    same(font.Family, "rbxasset://fonts/families/GothamSSm.json")
    same(font.Weight, Enum.FontWeight.Bold)
    same(font.Bold, true)
    same(Font.fromEnum(Enum.Font.SourceSansItalic).Style, Enum.FontStyle.Italic)
    same(Font.fromName("Roboto"), Font.fromEnum(Enum.Font.Roboto))
    """)


def test_colors(run):
    run("""
    local orange = Color3.fromRGB(255, 128, 0)
    same(orange.R, 1)
    near(orange.G, 128 / 255, 1e-7)
    same(orange, Color3.fromHex("#FF8000"))
    same(orange:ToHex(), "ff8000")
    same(Color3.fromHex("f00"), Color3.new(1, 0, 0))
    local grey, pink = Color3.new(0.5, 0.5, 0.5), Color3.new(0.9, 0.1, 0.7)
    for _, color in { orange, Color3.new(0.2, 0.4, 0.6), grey, pink, Color3.new() } do
        local back = Color3.fromHSV(color:ToHSV())
        near(back.R, color.R) near(back.G, color.G) near(back.B, color.B)
    end
    same(Color3.fromHSV(1 / 3, 1, 1), Color3.new(0, 1, 0))
    same(Color3.new():Lerp(Color3.new(1, 1, 1), 0.5), Color3.new(0.5, 0.5, 0.5))
    same(tostring(Color3.new(1, 0.5, 1 / 3)), "1, 0.5, 0.333333")
    fails(function() orange.R = 0 end, "R cannot be assigned to")
    fails(function() return orange * 2 end, "attempt to perform arithmetic (mul) on Color3 and number")
    fails(function() return Color3.fromHex("zz") end, "Unable to convert characters to hex value")

    local red = BrickColor.new("Bright red")
    same(red.Number, 21)
    same(red.Color, Color3.fromRGB(196, 40, 28))
    same(red, BrickColor.new(21))
    same(red, BrickColor.Red())
    same(BrickColor.new(Color3.fromRGB(254, 1, 1)).Name, "Really red")
    same(BrickColor.new(0, 0, 1).Name, "Really blue")
    same(BrickColor.new("No such colour").Name, "Medium stone grey")
    same(tostring(red), "Bright red")
    same(typeof(BrickColor.random()), "BrickColor")
    same(red == BrickColor.new("Lime green"), false)
    """)


def test_ranges_and_sequences(run):
    run("""
    same(NumberRange.new(5), NumberRange.new(5, 5))
    same(NumberRange.new(1, 2).Max, 2)
    same(tostring(NumberRange.new(5, 10)), "5 10 ")
    fails(function() return NumberRange.new(2, 1) end, "invalid range")

    local fade = NumberSequence.new({ NumberSequenceKeypoint.new(0, 1), NumberSequenceKeypoint.new(1, 0, 0.5) })
    same(#fade.Keypoints, 2)
    same(fade.Keypoints[2].Envelope, 0.5)
    same(NumberSequence.new(1, 0) == fade, false)
    same(NumberSequence.new(3), NumberSequence.new(3, 3))
    same(tostring(NumberSequence.new(0, 1)), "0 0 0 1 1 0 ")
    local red, blue = Color3.new(1, 0, 0), Color3.new(0, 0, 1)
    local gradient = ColorSequence.new(red, blue)
    same(gradient, ColorSequence.new({ ColorSequenceKeypoint.new(0, red), ColorSequenceKeypoint.new(1, blue) }))
    same(gradient.Keypoints[2].Value, blue)
    same(tostring(ColorSequence.new(red)), "0 1 0 0 0 1 1 0 0 0 ")
    fails(function() return NumberSequence.new({}) end, "requires at least 2 keypoints")
    fails(function()
        return NumberSequence.new({ NumberSequenceKeypoint.new(0, 1), NumberSequenceKeypoint.new(0.5, 0) })
    end, "must end at time=1.0")
    fails(function()
        return NumberSequence.new({ NumberSequenceKeypoint.new(1, 1), NumberSequenceKeypoint.new(0, 0) })
    end, "must be ordered by time")
    fails(function() return ColorSequence.new({ red, blue }) end, "ColorSequenceKeypoint expected, got Color3")
    """)


def test_space(run):
    run("""
    local ray = Ray.new(Vector3.zero, Vector3.new(0, 0, 10))
    same(ray.Unit.Direction, Vector3.zAxis)
    same(ray:ClosestPoint(Vector3.new(3, 4, 5)), Vector3.new(0, 0, 5))
    same(ray:Distance(Vector3.new(3, 4, 5)), 5)
    same(ray:ClosestPoint(Vector3.new(0, 0, -5)), Vector3.zero)
    same(tostring(ray), "{0, 0, 0}, {0, 0, 10}")

    local region = Region3.new(Vector3.new(1, 1, 1), Vector3.new(6, 5, 3))
    same(region.Size, Vector3.new(5, 4, 2))
    same(region.CFrame.Position, Vector3.new(3.5, 3, 2))
    same(region:ExpandToGrid(4), Region3.new(Vector3.zero, Vector3.new(8, 8, 4)))

    near(PhysicalProperties.new(Enum.Material.Ice).Friction, 0.02)
    same(PhysicalProperties.new(1, 0.5, 0.25, 1, 1), PhysicalProperties.new(1, 0.5, 0.25))
    fails(function() return PhysicalProperties.new(1) end, "invalid argument #2 to 'new' (number expected, got nil)")

    local params = RaycastParams.new()
    same(params.FilterType, Enum.RaycastFilterType.Exclude)
    same(params.IgnoreWater, false)
    params.FilterType = Enum.RaycastFilterType.Include
    local list = { {} }
    params.FilterDescendantsInstances = list
    params:AddToFilter({ {} })
    same(#params.FilterDescendantsInstances, 2)
    same(#list, 1, "the filter is a copy")
    same(#params.IncludeInstances, 2)
    same(params.ExcludeInstances, nil)
    params.ExcludeInstances = {}
    same(params.FilterType, Enum.RaycastFilterType.Exclude)
    same(#RaycastParams.new().FilterDescendantsInstances, 0, "params share nothing")
    fails(function() params.FilterType = 1 end, "invalid argument #1 to 'FilterType' (Enum.RaycastFilterType expected")
    fails(function() params.IgnoreWater = "yes" end, "boolean expected, got string")
    fails(function() params.MaxParts = 1 end, "MaxParts is not a valid member of RaycastParams")
    fails(function() return params.Foo end, "Foo is not a valid member of RaycastParams")
    local overlap = OverlapParams.new()
    overlap.MaxParts = 3
    same(overlap.MaxParts, 3)

    local result = records.RaycastResult("hit", Vector3.zero, Vector3.yAxis, 4, Enum.Material.Wood)
    same(typeof(result), "RaycastResult")
    same(result.Instance, "hit")
    same(result.Distance, 4)
    same(result.Material, Enum.Material.Wood)
    same(PathWaypoint.new(Vector3.one).Action, Enum.PathWaypointAction.Walk)
    same(Faces.new(Enum.NormalId.Top).Top, true)
    same(Axes.new(Enum.Axis.X, Enum.NormalId.Top).Y, true)
    same(Axes.new(Enum.Axis.X).Z, false)
    """)


def test_random(run):
    program = """
    local random = Random.new(42)
    local copy = random:Clone()
    local sum = 0
    for _ = 1, 1000 do
        local n = random:NextInteger(-3, 3)
        same(n >= -3 and n <= 3 and n % 1 == 0, true)
        local x = random:NextNumber(2, 4)
        same(x >= 2 and x < 4, true)
        sum += random:NextNumber()
        near(random:NextUnitVector().Magnitude, 1)
    end
    near(sum / 1000, 0.5, 0.05)
    same(copy:NextInteger(1, 1e9), Random.new(42):NextInteger(1, 1e9))
    same(Random.new(1):NextNumber() == Random.new(2):NextNumber(), false)
    same(Random.new():NextNumber() == Random.new():NextNumber(), false)
    local list = {}
    for i = 1, 50 do list[i] = i end
    random:Shuffle(list)
    local ordered = true
    for i = 2, 50 do ordered = ordered and list[i - 1] < list[i] end
    same(ordered, false)
    table.sort(list)
    for i = 1, 50 do same(list[i], i) end
    fails(function() return random:NextInteger(5, 1) end, "invalid argument #2 to 'NextInteger' (interval is empty)")
    fails(function() return random:NextInteger(5) end, "#2 to 'NextInteger' (number expected, got nil)")
    fails(function() random:Shuffle(table.freeze({ 1, 2 })) end, "attempt to modify a readonly table")
    fails(function() random.NextInteger(1, 5) end, "Expected ':' not '.' calling member function NextInteger")
    return Random.new(42):NextNumber(), Random.new():NextNumber(), BrickColor.random().Number
    """
    assert run(program) == run(program)


def test_date_time(run):
    run("""
    local now = DateTime.now()
    same(now.UnixTimestamp, 1700000000)
    same(now:ToIsoDate(), "2023-11-14T22:13:20.000Z")
    advance(1.5)
    same(DateTime.now().UnixTimestampMillis, 1700000001500)
    local leap = DateTime.fromUniversalTime(2024, 2, 29, 13, 5, 9, 7)
    same(leap:ToIsoDate(), "2024-02-29T13:05:09.007Z")
    local parts = leap:ToUniversalTime()
    same(parts.Year * 10000 + parts.Month * 100 + parts.Day, 20240229)
    same(parts.Hour * 10000 + parts.Minute * 100 + parts.Second, 130509)
    same(parts.Millisecond, 7)
    same(leap:FormatUniversalTime("dddd, MMM D YYYY h:mm A", "en-us"), "Thursday, Feb 29 2024 1:05 PM")
    same(leap:FormatUniversalTime("[at] HH:mm:ss", "en-us"), "at 13:05:09")
    same(leap:FormatLocalTime("LLL", "en-us"), "February 29, 2024 1:05 PM")
    same(DateTime.fromIsoDate("2024-02-29T13:05:09.007Z"), leap)
    same(DateTime.fromIsoDate("2024-02-29T15:05:09.007+02:00"), leap)
    same(DateTime.fromIsoDate("2024-02-29").UnixTimestamp, 1709164800)
    same(DateTime.fromIsoDate("yesterday"), nil)
    for _, seconds in { 0, -1, 951782400, 4102444800, -2208988800 } do
        local date = DateTime.fromUnixTimestamp(seconds)
        same(DateTime.fromIsoDate(date:ToIsoDate()), date)
    end
    fails(function() return DateTime.fromUniversalTime(2024, 13) end, "do not make a valid date")
    fails(function() return DateTime.fromUnixTimestamp(math.huge) end, "out of range")
    """)


def test_tween_info(run):
    run("""
    local info = TweenInfo.new()
    same(info.Time, 1)
    same(info.EasingStyle, Enum.EasingStyle.Quad)
    same(info.EasingDirection, Enum.EasingDirection.Out)
    same(info.RepeatCount, 0)
    same(info.Reverses, false)
    local other = TweenInfo.new(2, Enum.EasingStyle.Linear, Enum.EasingDirection.In, -1, true, 0.5)
    same(other.RepeatCount, -1)
    same(other.DelayTime, 0.5)
    same(other == info, false)
    same(TweenInfo.new(1), info)
    same(TweenInfo.new(0.1).Time, 0.1)
    same(tostring(info),
        "Time:1 DelayTime:0 RepeatCount:0 Reverses:False EasingDirection:Out EasingStyle:Quad")
    fails(function() return TweenInfo.new(1, Enum.EasingDirection.In) end,
        "invalid argument #2 to 'new' (Enum.EasingStyle expected, got EnumItem)")
    fails(function() return TweenInfo.new("soon") end, "invalid argument #1 to 'new' (number expected, got string)")
    """)


def test_enum(run):
    run("""
    local wood = Enum.Material.Wood
    same(typeof(Enum), "Enums")
    same(typeof(Enum.Material), "Enum")
    same(typeof(wood), "EnumItem")
    same(wood.Name, "Wood")
    same(wood.Value, 512)
    same(wood.EnumType, Enum.Material)
    same(wood, Enum.Material.Wood)
    same(({ [wood] = 1 })[Enum.Material.Wood], 1)
    same(wood == Enum.Material.Plastic, false)
    same(tostring(wood), "Enum.Material.Wood")
    same(tostring(Enum.Material), "Material")
    same(wood:IsA("Material"), true)
    same(Enum.Material:FromName("Wood"), wood)
    same(Enum.Material:FromName("Foo"), nil)
    same(Enum.Material:FromValue(512), wood)
    local items = Enum.HumanoidStateType:GetEnumItems()
    for i = 2, #items do
        same(items[i - 1].Value <= items[i].Value, true)
    end
    fails(function() return Enum.Material.Foo end, 'Foo is not a valid member of "Enum.Material"')
    fails(function() return Enum.Foo end, 'Foo is not a valid member of "Enum"')
    fails(function() return wood.Foo end, 'Foo is not a valid member of EnumItem')
    fails(function() wood.Name = "Stone" end, "Name cannot be assigned to")
    fails(function() Enum.Material.Wood = 1 end, "Wood cannot be assigned to")
    """)


# Datatypes that exist only for plugins, animation editors or closed services.
ABSENT = set(
    """AdReward CatalogSearchParams ClipEvaluator Content DockWidgetPluginGuiInfo FloatCurveKey InstanceHandle
    OpenCloudModel Path2DControlPoint RBXScriptConnection RBXScriptSignal Region3int16 RotationCurveKey Secret
    SecurityCapabilities SharedTable User ValueCurveKey Vector2int16 Vector3int16 buffer vector Enum EnumItem
    RaycastResult""".split()  # noqa: SIM905
)
MAKE = {
    "ColorSequence": "ColorSequence.new(Color3.new())",
    "ColorSequenceKeypoint": "ColorSequenceKeypoint.new(0, Color3.new())",
    "DateTime": "DateTime.now()",
    "Font": "Font.fromEnum(Enum.Font.Gotham)",
    "NumberRange": "NumberRange.new(1)",
    "NumberSequence": "NumberSequence.new(1)",
    "NumberSequenceKeypoint": "NumberSequenceKeypoint.new(0, 1)",
    "PhysicalProperties": "PhysicalProperties.new(1, 1, 1)",
    "Region3": "Region3.new(Vector3.zero, Vector3.one)",
    "BrickColor": "BrickColor.new(1)",
}


@pytest.mark.parametrize("name", sorted(API["datatypes"].keys() - ABSENT))
def test_has_the_documented_members(run, name):
    """Every member of the API database can be read, from a value or from the library."""
    entry = API["datatypes"][name]
    members = " ".join(f"local _ = value.{member}" for member in entry.get("members", {}))
    statics = " ".join(f"assert({name}.{static} ~= nil, '{static}')" for static in entry.get("statics", {}))
    run(f"local value = {MAKE.get(name, f'{name}.new()')} same(typeof(value), '{name}') {members} {statics}")


def test_wrong_arguments_are_the_scripts_fault(run):
    """Whatever a script passes, an error names the script's line: one inside the engine would count as its defect."""
    calls = ""
    for name in sorted(API["datatypes"].keys() - ABSENT):
        entry = API["datatypes"][name]
        functions = [f"{name}.{s}" for s, member in entry.get("statics", {}).items() if member["kind"] == "function"]
        value = MAKE.get(name, f"{name}.new()")
        methods = [f"({value}).{m}" for m, member in entry.get("members", {}).items() if member["kind"] == "method"]
        calls += "".join(f'attempt("{function}", {function})\n' for function in functions)
        calls += "".join(f'attempt("{method}", {method}, {value})\n' for method in methods)
    run(f"""
    local POOL = {{
        false, true, 0, -1.5, 3, 0 / 0, math.huge, "text", "5", "2024-13-45",
        {{}}, {{ 1, 2 }}, table.freeze({{ 2, 1 }}),
        function() end, Vector3.one, Vector2.one, CFrame.new(1, 2, 3), Color3.new(1, 0, 0), UDim.new(1, 2), UDim2.new(),
        Enum.Material.Ice, Enum.NormalId.Top, Enum, Random.new(1), BrickColor.new(21), DateTime.now(),
        setmetatable({{}}, {{ __index = function() error("mine") end }}),
    }}
    local random = Random.new(3)
    local function pick()
        local index = random:NextInteger(0, #POOL)
        return if index == 0 then nil else POOL[index]
    end
    local passed = 0
    function attempt(name, callee, self)
        for count = 0, 60 do
            local arguments = {{ pick(), pick(), pick(), pick() }}
            if self ~= nil and count % 10 ~= 0 then
                arguments[1] = self
            end
            local ok, err = pcall(function()
                return tostring(callee(table.unpack(arguments, 1, count % 5)))
            end)
            passed += if ok then 1 else 0
            if not ok and not string.match(tostring(err), "^Script:%d+: ") then
                error(`{{name}} failed inside: {{err}}`, 0)
            end
        end
    end
    {calls}
    same(passed > 500, true, "enough calls succeed")
    """)
