"""Loads the headless engine (``engine/*.luau`` and the API database) into a Luau VM."""

from pathlib import Path
from typing import Any

from luau_rft.luau.native import native
from luau_rft.roblox.api import Database

ENGINE = Path(__file__).with_name("engine")


def engine_files() -> dict[str, str]:
    """The engine's sources by their path inside ``engine/``, without the ending, in order."""
    paths = sorted(ENGINE.rglob("*.luau"))
    return {path.relative_to(ENGINE).with_suffix("").as_posix(): path.read_text(encoding="utf-8") for path in paths}


def new_vm() -> Any:
    """A VM without anything of the host in it: no ``require``, no file or process functions, libraries read-only."""
    module = native()
    lua = module.Lua()
    lua.load_chunk('getmetatable("").__metatable = "The metatable is locked"')()
    # The engine fills this one with what a Vector3 has; the VM's own is read-only.
    lua.set_type_metatable(module.LuaType.Vector, lua.create_table())
    lua.sandbox(True)
    return lua


def load(lua: Any, sources: dict[str, str], api: Database) -> Any:
    """Load the engine into a VM from ``new_vm``; returns the table of functions at the end of ``engine/main.luau``."""
    compiler = native().Compiler(optimization_level=2, debug_level=1, type_info_level=0, coverage_level=0)
    chunks = lua.create_table()
    for path, source in sources.items():
        chunks.set(path, lua.load_chunk(source, name=f"=engine/{path}", compiler=compiler))
    context = to_table(lua, {"api": {"classes": api.classes, "enums": api.enums, "enum_aliases": api.enum_aliases}})
    context.set("globals", lua.globals())
    return chunks.get("boot")(chunks, context)[0]


def to_table(lua: Any, value: Any) -> Any:
    """A JSON-like value as a Luau value; dictionaries and lists become tables, null is left out."""
    if isinstance(value, dict):
        table = lua.create_table_with_capacity(0, len(value))
        for key, item in value.items():
            table.raw_set(key, to_table(lua, item))
        return table
    if isinstance(value, list):
        table = lua.create_table_with_capacity(len(value), 0)
        for index, item in enumerate(value, start=1):
            table.raw_set(index, to_table(lua, item))
        return table
    return value
