"""The API database: what the look-ups answer, and that the committed file is what the generator makes."""

import doctest
import json
import subprocess
import sys

import pytest

from luau_rft.errors import UserError
from luau_rft.luau.native import native
from luau_rft.roblox import api, generate, typescript
from luau_rft.roblox.api import database

API = database()
NO_FACTS = {
    "classes": {}, "globals": {}, "libraries": {}, "instance": {}, "members": {}, "statics": {}, "enum_aliases": {},
    "children": {}, "aliases": {}, "deprecated": {}, "current": [], "side": {}, "fails": [], "defaults": {},
}  # fmt: skip


def test_doctests() -> None:
    assert doctest.testmod(api).failed == 0


@pytest.mark.parametrize(
    ("name", "service", "creatable"),
    [("Players", True, False), ("Part", False, True), ("BasePart", False, False), ("PlayersService", False, False)],
)
def test_services_and_classes(name: str, service: bool, creatable: bool) -> None:
    assert (API.service(name), API.creatable(name)) == (service, creatable)


def test_members_are_found_through_superclasses() -> None:
    destroy, anchored = API.member("SpawnLocation", "Destroy"), API.member("SpawnLocation", "Anchored")
    assert destroy.kind == "method"
    assert destroy.owner == "Instance"
    assert (anchored.kind, anchored.type, anchored.owner) == ("property", "boolean", "BasePart")
    assert API.member("Folder", "Anchored") is None
    assert API.member("NoSuchClass", "Name") is None


def test_kinds_of_members() -> None:
    joined, invoked = API.member("Players", "PlayerAdded"), API.member("RemoteFunction", "OnServerInvoke")
    assert (joined.kind, joined.params) == ("event", (("player", "Player"),))
    assert (invoked.kind, invoked.params[0]) == ("callback", ("player", "Player"))
    assert API.member("Player", "UserId").readonly
    assert not API.member("Humanoid", "Health").readonly
    assert API.member("Player", "Character").type == "Model?"
    assert API.member("Players", "GetPlayers").returns == "{Player}"
    assert API.member("DataStore", "UpdateAsync").yields
    assert API.member("GlobalDataStore", "GetAsync").fails


@pytest.mark.parametrize(
    ("member", "arity", "rejected"),
    [
        (API.member("Instance", "FindFirstChild"), (1, 2), 0),
        (API.member("Instance", "WaitForChild"), (1, 2), 3),
        (API.member("RemoteEvent", "FireClient"), (1, None), 0),
        (API.static("CFrame", "new"), (0, 12), 4),
        (API.static("Color3", "fromRGB"), (0, 3), 4),
        (API.static("task", "wait"), (0, 1), 2),
    ],
)
def test_argument_counts(member: api.Member, arity: tuple[int, int | None], rejected: int) -> None:
    assert member.arity == arity
    assert member.accepts(arity[0])
    assert not member.accepts(rejected)


@pytest.mark.parametrize(
    ("member", "replacement"),
    [
        (API.global_("wait"), "task.wait"),
        (API.global_("spawn"), "task.spawn"),
        (API.global_("delay"), "task.delay"),
        (API.member("RBXScriptSignal", "connect"), "Connect"),
        (API.member("Part", "remove"), "Destroy"),
        (API.member("Model", "children"), "GetChildren"),
        (API.member("Players", "playerFromCharacter"), "GetPlayerFromCharacter"),
        (API.member("Humanoid", "LoadAnimation"), "Animator:LoadAnimation"),
        (API.member("Model", "SetPrimaryPartCFrame"), "PivotTo"),
        (API.member("Vector3", "magnitude"), "Magnitude"),
        (API.member("RaycastParams", "FilterType"), None),
        (API.member("Player", "GetMouse"), None),
    ],
)
def test_deprecated_members_name_their_successor(member: api.Member, replacement: str | None) -> None:
    assert member.deprecated == replacement


@pytest.mark.parametrize(
    ("old", "new"),
    [("BodyVelocity", "LinearVelocity"), ("BodyPosition", "AlignPosition"), ("BodyGyro", "AlignOrientation")],
)
def test_deprecated_classes_name_their_successor(old: str, new: str) -> None:
    assert API.classes[old]["deprecated"] == new
    assert API.creatable(new)


def test_no_class_is_deprecated_by_its_type_marker() -> None:
    """The definitions mark a field `_nominal_X` of nearly every class as deprecated; it is no API."""
    members = [member for entry in API.classes.values() for member in entry["members"]]
    assert len(members) > 4000
    assert not [member for member in members if member.startswith("_")]
    assert sum("deprecated" in entry for entry in API.classes.values()) < 60


def test_enums() -> None:
    assert API.enum_item("Material", "Grass") == API.enums["Material"]["Grass"] == 1280
    assert API.enum_item("Material", "Gras") is None
    assert API.enum_item("Material", "Aluminum") == API.enums["Material"]["Foil"]
    assert API.enum_item("RaycastFilterType", "Blacklist") == API.enums["RaycastFilterType"]["Exclude"]


def test_what_is_deprecated_has_a_successor() -> None:
    """Apart from what only the platform itself and plugins can reach."""
    internal = {"GameSettings", "ScreenshotHud", "Studio", "VoiceChatInternal"}
    members = {
        f"{name}.{member}": entry["deprecated"]
        for name, content in API.classes.items()
        for member, entry in content["members"].items()
        if "deprecated" in entry and name not in internal
    }
    assert len(members) > 300
    assert [path for path, successor in members.items() if not successor] == []
    assert [name for name, entry in API.classes.items() if entry.get("deprecated") == ""] == []
    assert [name for name, entry in API.globals.items() if entry.get("deprecated") == ""] == []
    assert API.member("Humanoid", "loadAnimation").deprecated == "Animator:LoadAnimation"


def test_datatypes_and_globals() -> None:
    assert API.static("Vector3", "new").returns == "Vector3"
    assert API.member("Vector3", "Magnitude").type == "number"
    assert API.member("Vector3", "new") is None
    assert API.static("Instance", "new").returns == "Instance"
    assert API.global_("workspace").type == "Workspace"
    assert API.global_("nothing") is None


def test_defaults_fit_their_properties() -> None:
    plain = {"number": (int, float), "boolean": bool, "string": str, "BrickColor": str}
    checked = 0
    for name, entry in API.classes.items():
        for prop, value in entry.get("defaults", {}).items():
            wanted = API.member(name, prop).type
            if wanted.startswith("Enum."):
                assert API.enum_item(wanted[5:], value) is not None, (name, prop)
            else:
                assert isinstance(value, plain.get(wanted, list)), (name, prop)
            checked += 1
    assert checked > 150
    assert API.default("Part", "Size") == [4, 1.2, 2]
    assert API.default("TrussPart", "Size") == [2, 2, 2]
    assert API.default("Part", "Transparency") is None


def test_every_function_of_the_real_vm_is_known() -> None:
    lua = native().Lua()
    functions = lua.load_chunk(
        "local found = {} for _, name in {'bit32', 'buffer', 'coroutine', 'math', 'os', 'string', 'table', 'utf8'} do "
        "for key in getfenv()[name] do table.insert(found, name .. '.' .. key) end end return table.concat(found, ' ')"
    )()  # fmt: skip
    names = str(functions[0]).split()
    assert len(names) > 100
    assert [name for name in names if API.static(*name.split(".")) is None] == []


def test_reading_is_light() -> None:
    """`luau-rft score` must answer at once: neither YAML nor pydantic nor polars is read for it."""
    code = "import sys, luau_rft.scorers.api; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "luau_rft.roblox.api" in loaded
    assert not {"yaml", "ruamel.yaml", "pydantic", "polars", "torch"} & set(loaded)


# The generator

DEFINITIONS = """
/** A lamp. @deprecated Light */
interface Lamp<T extends Callback = Callback> extends Instance {
    /** @deprecated */
    readonly _nominal_Lamp: unique symbol;
    /** How bright; see `a { b`. */
    Brightness: number;
    readonly Owner: Player | undefined;
    get Kind(): CastsToEnum<Enum.Kind>;
    /** - **Tags**: Yields
     * @deprecated Superseded by `Lamp:ShineAsync()`. */
    Shine(this: Lamp, seconds: number, color?: Color3): Array<Player>;
    Shine(this: Lamp): LuaTuple<[boolean, string | undefined]>;
    Say(this: Lamp, ...words: Array<string>): void;
    readonly Lit: RBXScriptSignal<(by: Player, how: "fast" | "slow") => void>;
    OnLight: ((by: Player) => boolean) | undefined;
}
interface Empty {}
declare namespace lamp {
    /** The most. */
    const max: number;
    function make(size: number): Lamp;
}
"""


def test_old_names_of_enum_items_are_read() -> None:
    source = (
        "declare namespace Enum {\n    export namespace Axis {\n        export interface X extends EnumItem {\n"
        '            Name: "X";\n            Value: 0;\n        }\n        /**\n         * @deprecated renamed to X\n'
        "         */\n        export const Left: X;\n    }\n}\n"
    )
    assert typescript.enum_aliases(source) == {"Axis": {"Left": "X"}}


def test_definitions_are_read() -> None:
    types = typescript.Types({"Player", "Lamp", "Color3", "Instance"})
    block = typescript.blocks(DEFINITIONS)["Lamp"]
    assert block.superclass == "Instance"
    assert typescript.deprecation(block.doc) == "Light"
    assert typescript.members(block, "Lamp", types) == {
        "Brightness": {"kind": "property", "type": "number"},
        "Owner": {"kind": "property", "type": "Player?", "readonly": True},
        "Kind": {"kind": "property", "type": "Enum.Kind", "readonly": True},
        "Shine": {
            "kind": "method",
            "params": [["seconds", "number?"], ["color", "Color3?"]],
            "returns": "any",
            "yields": True,
            "deprecated": "Lamp:ShineAsync",
        },
        "Say": {"kind": "method", "params": [["...", "any"]]},
        "Lit": {"kind": "event", "params": [["by", "Player"], ["how", "string"]]},
        "OnLight": {"kind": "callback", "params": [["by", "Player"]], "returns": "boolean"},
    }
    library = typescript.blocks(DEFINITIONS, "namespace")["lamp"]
    assert typescript.members(library, "", types) == {
        "max": {"kind": "property", "type": "number"},
        "make": {"kind": "function", "params": [["size", "number"]], "returns": "Lamp"},
    }


@pytest.mark.parametrize(
    "facts",
    [
        {"deprecated": {"Part.NoSuchMember": "Size"}},
        {"side": {"client": ["NoSuchService"]}},
        {"aliases": {"Part": {"size": "NoSuchMember"}}},
        {"defaults": {"Part": {"NoSuchMember": 1}}},
    ],
)
def test_supplement_about_something_unknown_is_an_error(facts: dict) -> None:
    content = json.loads(api.PATH.read_text(encoding="utf-8"))
    with pytest.raises(UserError, match=r"supplement\.yaml.*NoSuch"):
        generate.merge(content, NO_FACTS | facts)


def test_update_without_npm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = api.PATH.read_bytes()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="npm: not found; install"):
        generate.update()
    assert api.PATH.read_bytes() == before


def test_committed_file_is_what_the_generator_makes(tmp_path) -> None:
    try:
        package = generate.fetch(generate.VERSION, tmp_path)
    except UserError as error:
        pytest.skip(f"the package cannot be fetched here: {error}")
    made = generate.dump(generate.generate(package / "include", generate.VERSION))
    assert made == api.PATH.read_text(encoding="utf-8")
    assert json.loads(made)["source"]["version"] == generate.VERSION
    with pytest.raises(UserError, match="not laid out as expected"):
        generate.generate(package, generate.VERSION)
