"""Builds ``api.json`` from the type definitions of ``@rbxts/types`` (npm, MIT) and ``supplement.yaml``.

    python -m luau_rft.roblox.generate [version]

The layout of the file is told in ``luau_rft.roblox.api``. Same version and same supplement, same bytes.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from luau_rft.errors import UserError
from luau_rft.roblox import typescript as ts

PACKAGE = "@rbxts/types"
VERSION = "1.0.954"
API = Path(__file__).with_name("api.json")
SUPPLEMENT = Path(__file__).with_name("supplement.yaml")


def update(version: str = VERSION) -> None:
    """Fetch the package in ``version`` with npm and write ``api.json`` anew.

    Raises ``UserError`` where npm is missing or cannot fetch it, or the package no longer looks as expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        include = fetch(version, Path(folder)) / "include"
        text = dump(generate(include, version))
    temporary = API.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(API)


def fetch(version: str, folder: Path) -> Path:
    """Fetch and unpack the package into ``folder``; returns the unpacked package's root."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("npm: not found; install Node.js with npm to update the Roblox API database")
    command = [npm, "pack", f"{PACKAGE}@{version}", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode or not archives:
        reason = " ".join((done.stderr or done.stdout).split())[:300] or f"exit code {done.returncode}"
        raise UserError(f"npm pack {PACKAGE}@{version} failed: {reason}; check the version and the network")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def dump(database: dict[str, Any]) -> str:
    """JSON with one class, enum or datatype a line: small, and a diff shows what a new version changed."""
    lines = []
    for section, content in database.items():
        entries = (f"{json.dumps(name)}:{_compact(entry)}" for name, entry in content.items())
        lines.append(f"{json.dumps(section)}:{{\n" + ",\n".join(entries) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def generate(include: Path, version: str) -> dict[str, Any]:
    """Read the definitions in ``include`` and merge the supplement over them."""
    try:
        sources = {
            name: (include / f"{name}.d.ts").read_text(encoding="utf-8")
            for name in ("generated/None", "generated/PluginSecurity", "generated/enums", "roblox", "lua")
        }
    except FileNotFoundError as error:
        raise UserError(f"{PACKAGE}@{version}: no {error.filename}; this version is not laid out as expected") from None
    public = ts.blocks(sources["generated/None"])
    plugin = ts.blocks(sources["generated/PluginSecurity"])
    hand_written = ts.blocks(sources["roblox"])
    classes = _class_names(public, plugin)
    hand_written |= {name: ts.blocks(sources["generated/enums"])[name] for name in ("Enum", "EnumItem")}
    constructors = ts.constructors(sources["roblox"])
    datatypes = {
        name
        for name, block in hand_written.items()
        if "_nominal_" in block.body or f"{name}Constructor" in hand_written or name in constructors
    }
    datatypes |= {"Enum", "EnumItem", "RBXScriptConnection", "RBXScriptSignal", "RaycastResult"}
    datatypes -= classes
    types = ts.Types(classes | datatypes)
    database: dict[str, Any] = {
        "source": {"package": PACKAGE, "version": version, "license": "MIT"},
        "classes": _classes(public, plugin, classes, types),
        "enums": ts.enums(sources["generated/enums"]),
        "enum_aliases": ts.enum_aliases(sources["generated/enums"]),
        "datatypes": _datatypes(hand_written, datatypes, constructors, types),
        "libraries": _libraries((sources["lua"], sources["roblox"]), types),
        "globals": _globals((sources["lua"], sources["roblox"]), types),
    }
    if len(database["classes"]) < 500 or len(database["enums"]) < 300:
        raise UserError(f"{PACKAGE}@{version}: too few classes or enums read; this version is not laid out as expected")
    merge(database, YAML(typ="safe", pure=True).load(SUPPLEMENT.read_text(encoding="utf-8")))
    return _sorted(database)


def _sorted(database: dict[str, Any]) -> dict[str, Any]:
    """Names in order, so that a new version moves no line that it does not change; enum items stay by value."""
    for section, content in database.items():
        if section != "source":
            database[section] = dict(sorted(content.items()))
        for entry in database[section].values():
            if isinstance(entry, dict) and "members" in entry:
                entry["members"] = dict(sorted(entry["members"].items()))
    return database


# The sections of the database


def _class_names(public: dict[str, ts.Block], plugin: dict[str, ts.Block]) -> set[str]:
    names = {"Object"}
    parents = {name: block.superclass for name, block in {**plugin, **public}.items()}
    for name in parents:
        chain = name
        while parents.get(chain) not in (None, "RBXObject"):
            chain = parents[chain]  # type: ignore[assignment]
        if parents.get(chain) == "RBXObject":
            names.add(name)
    return names


def _classes(
    public: dict[str, ts.Block], plugin: dict[str, ts.Block], names: set[str], types: ts.Types
) -> dict[str, dict[str, Any]]:
    creatable = {*_listed(public["CreatableInstances"]), *_listed(plugin["CreatableInstances"])}
    services = {*_listed(public["Services"]), *_listed(plugin["Services"])}
    classes: dict[str, dict[str, Any]] = {}
    for name in sorted(names):
        source_name = "RBXObject" if name == "Object" else name
        block = public.get(source_name) or plugin[source_name]
        entry: dict[str, Any] = {"superclass": "Object" if block.superclass == "RBXObject" else block.superclass}
        if name in creatable:
            entry["creatable"] = True
        if name in services:
            entry["service"] = True
        if source_name not in public or (name in services and name not in _listed(public["Services"])):
            entry["plugin"] = True
        if (replacement := ts.deprecation(block.doc)) is not None:
            entry["deprecated"] = replacement
        members = ts.members(block, source_name, types) if source_name in public else {}
        if source_name in plugin:
            for member, value in ts.members(plugin[source_name], source_name, types).items():
                members.setdefault(member, {**value, "plugin": True})
        entry["members"] = members
        classes[name] = entry
    _hoist(classes)
    return classes


def _listed(block: ts.Block) -> list[str]:
    return [text.partition(":")[0] for _, text in ts.declarations(block.body)]


def _hoist(classes: dict[str, dict[str, Any]]) -> None:
    """Resolve what TypeScript declares as ``unknown``: members that each subclass, or only a superclass, declares."""
    for name, entry in classes.items():
        for member, value in list(entry["members"].items()):
            if value["kind"] != "property" or value["type"] != "any" or not value.get("readonly"):
                continue
            subclasses = [c["members"] for _, c in sorted(classes.items()) if c["superclass"] == name]
            declared = [members[member] for members in subclasses if member in members]
            for found in declared if value.get("yields") else ():
                found["yields"] = True
            if declared:
                entry["members"][member] = declared[0]
            elif any(member in classes[c]["members"] for c in _chain(entry["superclass"], classes)):
                del entry["members"][member]


def _datatypes(
    blocks: dict[str, ts.Block], names: set[str], constructors: dict[str, str], types: ts.Types
) -> dict[str, dict[str, Any]]:
    datatypes = {}
    for name in sorted(names):
        entry: dict[str, Any] = {"members": ts.members(blocks[name], name, types)}
        if f"{name}Constructor" in blocks:
            entry["statics"] = _statics(blocks[f"{name}Constructor"], types)
        elif name in constructors:
            entry["statics"] = {"new": {"kind": "function", **ts.signature(constructors[name], {}, types)[1]}}
        datatypes[name] = entry
    return datatypes


def _statics(block: ts.Block, types: ts.Types) -> dict[str, Any]:
    """What is read from the datatype's own name: ``Vector3.new``, ``Vector3.zero``."""
    statics = ts.members(block, "", types)
    for entry in statics.values():
        if entry["kind"] == "callback":
            entry["kind"] = "function"
        entry.pop("readonly", None)
    return dict(sorted(statics.items()))


def _libraries(sources: tuple[str, ...], types: ts.Types) -> dict[str, dict[str, Any]]:
    libraries: dict[str, dict[str, Any]] = {}
    for source in sources:
        for name, block in ts.blocks(source, "namespace").items():
            if name == "TS":
                continue
            entry = libraries.setdefault(name, {"members": {}})
            entry["members"] |= ts.members(block, "", types)
            for member in entry["members"].values():
                member.pop("readonly", None)
    return libraries


def _globals(sources: tuple[str, ...], types: ts.Types) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for doc, text in (function for source in sources for function in ts.functions(source)):
        name, _, entry = ts.member(doc, text, {}, types)  # type: ignore[misc]  # functions are never left out
        if name in found:
            ts.overload(found[name], entry)
        else:
            found[name] = entry
    return found


# The supplement


def merge(database: dict[str, Any], supplement: dict[str, Any]) -> None:
    """Lay the hand-written facts over the generated ones.

    Raises ``UserError`` for a fact about something that the definitions do not have, so that a new version of the
    package tells which facts have grown old.
    """
    classes, datatypes, libraries, names = (database[k] for k in ("classes", "datatypes", "libraries", "globals"))

    def find(path: str) -> dict[str, Any]:
        owner, _, member = path.partition(".")
        holder = classes.get(owner) or datatypes.get(owner) or libraries.get(owner)
        entry = holder["members"].get(member, holder.get("statics", {}).get(member)) if holder and member else holder
        if entry is None:
            raise UserError(f"{SUPPLEMENT.name}: {path}: not in {PACKAGE}@{database['source']['version']}; correct it")
        return entry

    for name, entry in supplement["classes"].items():
        classes[name] = {**entry, "members": {}}
    for name, entry in supplement["globals"].items():
        names[name] = names.get(name, {}) | entry
    for name, members in supplement["libraries"].items():
        known = libraries.setdefault(name, {"members": {}})["members"]
        for member in members:
            known.setdefault(member, {"kind": "function", "params": [["...", "any"]], "returns": "any"})
    libraries["Instance"] = {"members": supplement["instance"]}
    for section, key in (("members", "members"), ("statics", "statics")):
        for path, entry in supplement[section].items():
            owner, _, member = path.partition(".")
            holder = find(owner)[key]
            holder[member] = holder.get(member, {}) | entry
    for enum, aliases in supplement["enum_aliases"].items():
        database["enum_aliases"].setdefault(enum, {}).update(aliases)
    for owner, children in supplement["children"].items():
        find(owner)["children"] = children
    for path, replacement in supplement["deprecated"].items():
        find(path)["deprecated"] = replacement
    for path in supplement["current"]:
        del find(path)["deprecated"]
    for owner, aliases in supplement["aliases"].items():
        for old, new in aliases.items():
            declaring = next((c for c in _chain(owner, classes) if new in find(c)["members"]), owner)
            entry = find(f"{declaring}.{new}")
            find(owner)["members"][old] = {**entry, "deprecated": entry.get("deprecated") or new}
    for side, paths in supplement["side"].items():
        for path in paths:
            find(path)["side"] = side
    for path in supplement["fails"]:
        entry = find(path)
        for member in entry["members"].values() if "members" in entry else (entry,):
            if member.get("yields"):
                member["fails"] = True
    for name, values in supplement["defaults"].items():
        for member in values:
            if not any(member in find(c)["members"] for c in _chain(name, classes)):
                raise UserError(f"{SUPPLEMENT.name}: defaults: {name}.{member}: no such property; correct it")
        find(name)["defaults"] = values


def _chain(name: str | None, classes: dict[str, dict[str, Any]]) -> Iterator[str]:
    while name is not None:
        yield name
        name = classes[name]["superclass"] if name in classes else None


if __name__ == "__main__":
    update(*sys.argv[1:2])
