"""Builds ``api.json`` from the type definitions of ``@rbxts/types`` (npm, MIT) and ``supplement.yaml``.

python -m luau_rft.roblox.generate [version]

The layout of the file is told in ``luau_rft.roblox.api``. The definitions are written for TypeScript by a generator, one
declaration a line and formatted alike, so they are read with patterns instead of a TypeScript parser. Same version and
same supplement, same bytes.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from luau_rft.errors import UserError

PACKAGE = "@rbxts/types"
VERSION = "1.0.954"
API = Path(__file__).with_name("api.json")
SUPPLEMENT = Path(__file__).with_name("supplement.yaml")

_DOC = r"/\*\*(?:(?!\*/).)*\*/"
_BLOCK = re.compile(
    rf"^(?P<doc>{_DOC}\n)?(?:declare )?(?P<kind>interface|namespace) (?P<name>\w+)(?P<generics><[^{{]*?>)?"
    r"(?: extends (?P<super>\w+)[^{]*?)? \{(?P<body>.*?)^\}",
    re.M | re.S,
)
_ENUM = re.compile(r"^    export namespace (?P<name>\w+) \{\n(?P<body>.*?)^    \}", re.M | re.S)
_ITEM = re.compile(
    rf"(?P<doc>{_DOC}\s*)?export interface (?P<name>\w+) extends[^{{]*\{{\s*Name: [^;]*;\s*Value: (?P<value>-?\d+);", re.S
)
_CONSTRUCTOR = re.compile(r"^type (\w+)Constructor = new (\(.*?\) => \w+);", re.M | re.S)
_FUNCTION = re.compile(rf"^(?P<doc>{_DOC}\n)?declare function (?P<rest>\w+.*?;)\n", re.M | re.S)
_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"[^"\n]*"|=>|[^/"=;(){}\[\]<>,:|?]+|.', re.S)
_NAME = re.compile(r"(?P<modifier>readonly |get |set |function |const |export )*(?P<name>\w+)(?P<optional>\?)?")

# Names that TypeScript has and Luau writes otherwise; what is in neither list nor database becomes "table".
_TYPES = {
    "unknown": "any", "any": "any", "never": "any", "Tweenable": "any", "AttributeValue": "any", "TeleportData": "any",
    "SetAttributeValue": "any", "SharedTableValue": "any", "void": "()", "undefined": "nil", "null": "nil",
    "Callback": "function", "Function": "function", "DelayedCallback": "function", "RBXObject": "Object",
    "ContentId": "string", "BinaryString": "string", "SharedString": "string", "ProtectedString": "string",
    "InstancePropertyNames": "string", "AssetType": "any", "number": "number", "string": "string",
    "boolean": "boolean", "true": "boolean", "false": "boolean", "thread": "thread", "buffer": "buffer",
    "EnumItem": "EnumItem", "Enum": "Enum",
}  # fmt: skip


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
    public = _interfaces(sources["generated/None"])
    plugin = _interfaces(sources["generated/PluginSecurity"])
    hand_written = _interfaces(sources["roblox"])
    classes = _class_names(public, plugin)
    hand_written |= {name: _interfaces(sources["generated/enums"])[name] for name in ("Enum", "EnumItem")}
    constructors = dict(_CONSTRUCTOR.findall(sources["roblox"]))
    datatypes = {
        name
        for name, block in hand_written.items()
        if "_nominal_" in block.body or f"{name}Constructor" in hand_written or name in constructors
    }
    datatypes |= {"Enum", "EnumItem", "RBXScriptConnection", "RBXScriptSignal", "RaycastResult"}
    datatypes -= classes
    types = _Types(classes | datatypes)
    database: dict[str, Any] = {
        "source": {"package": PACKAGE, "version": version, "license": "MIT"},
        "classes": _classes(public, plugin, classes, types),
        "enums": _enums(sources["generated/enums"]),
        "datatypes": _datatypes(hand_written, datatypes, constructors, types),
        "libraries": _libraries((sources["lua"], sources["roblox"]), types),
        "globals": _globals((sources["lua"], sources["roblox"]), types),
    }
    if len(database["classes"]) < 500 or len(database["enums"]) < 300:
        raise UserError(f"{PACKAGE}@{version}: too few classes or enums read; this version is not laid out as expected")
    _merge_supplement(database, YAML(typ="safe", pure=True).load(SUPPLEMENT.read_text(encoding="utf-8")))
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


# Reading TypeScript


@dataclass
class _Block:
    """A top-level ``interface`` or ``namespace``."""

    superclass: str | None
    doc: str
    generics: dict[str, str]
    body: str = field(repr=False)


def _interfaces(source: str, kind: str = "interface") -> dict[str, _Block]:
    blocks: dict[str, _Block] = {}
    for match in _BLOCK.finditer(source):
        if match["kind"] != kind:
            continue
        name = match["name"]
        if name in blocks:
            blocks[name].body += match["body"]
        else:
            blocks[name] = _Block(match["super"], match["doc"] or "", _generics(match["generics"]), match["body"])
    return blocks


def _generics(text: str | None) -> dict[str, str]:
    """Type parameters by name with what they extend: ``<T extends Callback = X>`` → ``{"T": "Callback"}``."""
    parameters = {}
    for part in _split(text[1:-1], ",") if text else ():
        name, _, bound = part.partition(" extends ")
        parameters[name.partition("=")[0].strip()] = bound.partition(" = ")[0].strip() or "unknown"
    return parameters


def _split(text: str, separator: str) -> list[str]:
    """Parts of ``text`` between separators that no bracket encloses."""
    parts, part, depth = [], "", 0
    for token in _TOKEN.findall(text):
        depth += (token in "([{<") - (token in ")]}>") if len(token) == 1 else 0
        if token == separator and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += token
    return [part.strip() for part in (*parts, part) if part.strip()]


def _declarations(body: str) -> Iterator[tuple[str, str]]:
    """Documentation and text of each declaration of a block, blanks folded."""
    doc, text, depth = "", "", 0
    for token in _TOKEN.findall(body):
        if token.startswith("/*"):
            if depth == 0 and not text.strip():
                doc = token
        elif token.startswith("//"):
            continue
        elif token == ";" and depth == 0:
            yield doc, re.sub(r"\s+", " ", text).strip()
            doc, text = "", ""
        else:
            depth += (token in "([{<") - (token in ")]}>") if len(token) == 1 else 0
            text += token


def _closing(text: str) -> int:
    """Index of the bracket that closes the one ``text`` begins with."""
    depth, at = 0, 0
    for token in _TOKEN.findall(text):
        depth += (token in "([{<") - (token in ")]}>") if len(token) == 1 else 0
        if depth == 0:
            return at
        at += len(token)
    raise ValueError(f"no closing bracket: {text[:80]}")


class _Types:
    """Turns TypeScript types into Luau ones, keeping what the scorers and the engine can use."""

    def __init__(self, known: set[str]) -> None:
        self.known = known

    def luau(self, text: str, generics: dict[str, str]) -> str:
        text = re.sub(r"^\((.*)\)$", lambda m: m[1] if _closing(text) == len(text) - 1 else m[0], text.strip())
        if re.match(r"[(<]", text) and "=>" in text:
            return "function"
        parts = _split(text, "|")
        if len(parts) > 1:
            kinds = sorted({self.luau(part, generics) for part in parts} - {"nil"})
            base = kinds[0] if len(kinds) == 1 else "any"
            optional = any(part == "undefined" for part in parts) and base != "any"
            return f"{base}?" if optional and not base.endswith("?") else base
        return self._single(text, generics)

    def _single(self, text: str, generics: dict[str, str]) -> str:
        if text.startswith(('"', "'", "`")):
            return "string"
        if re.match(r"-?\d", text):
            return "number"
        if match := re.match(r"(?:CastsToEnum<)?(Enum\.\w+)", text):
            return match[1]
        name, _, arguments = text.rstrip(">").partition("<")
        if name in ("Array", "ReadonlyArray"):
            return f"{{{self.luau(arguments, generics)}}}"
        if name == "LuaTuple" and arguments.startswith("["):
            return f"({', '.join(self.luau(part, generics) for part in _split(arguments[1:-1], ','))})"
        if name in generics:
            return self.luau(generics[name], {}) if not generics[name].startswith("keyof") else "string"
        if name in _TYPES:
            return _TYPES[name]
        if name in self.known:
            return name
        if name.startswith("this is"):
            return "boolean"
        if name.startswith(("Instances[", "S[")):
            return "Instance"
        return "any" if name.startswith(("ReturnType", "LuaTuple")) or "[" in name else "table"


def _parameters(text: str, generics: dict[str, str], types: _Types) -> tuple[str | None, list[list[str]]]:
    """The type of ``this``, where there is one, and ``[name, type]`` of each other parameter."""
    this, parameters = None, []
    for part in _split(text, ","):
        name, _, kind = part.partition(":")
        name, kind = name.strip(), kind.strip()
        if name == "this":
            this = kind
        elif name.startswith("..."):
            parameters.append(["...", "any"])
        else:
            # A `User` is new and rare: wherever one is taken, so is the plain number.
            luau = "number" if kind == "User" else types.luau(kind, generics)
            optional = name.endswith("?") and not luau.endswith("?")
            parameters.append([name.rstrip("?"), f"{luau}?" if optional else luau])
    return this, parameters


def _callable(text: str, generics: dict[str, str], types: _Types) -> tuple[str | None, dict[str, Any]]:
    """``<T>(this: X, a: number): R`` or ``(a: number) => R``: the type of ``this`` and the signature."""
    if text.startswith("<"):
        end = _closing(text)
        generics = {**generics, **_generics(text[: end + 1])}
        text = text[end + 1 :].strip()
    end = _closing(text)
    this, parameters = _parameters(text[1:end], generics, types)
    returns = types.luau(text[end + 1 :].strip().removeprefix("=>").removeprefix(":").strip() or "void", generics)
    return this, {"params": parameters} if returns == "()" else {"params": parameters, "returns": returns}


def _overload(first: dict[str, Any], other: dict[str, Any]) -> None:
    """Fold another signature into ``first``: what only one of them takes is optional, what differs is ``any``."""
    counts = set(first.get("counts", [len(first["params"])])) | {len(other["params"])}
    long, short = sorted((first["params"], other["params"]), key=len, reverse=True)
    merged = []
    for index, (name, kind) in enumerate(long):
        beyond = index >= len(short)
        luau = kind if beyond or name == "..." or short[index][1].rstrip("?") == kind.rstrip("?") else "any"
        optional = beyond or any(params[index][1].endswith("?") for params in (long, short))
        merged.append([name, f"{luau.rstrip('?')}?" if optional and name != "..." else luau])
    first["params"] = merged
    if "..." not in [name for name, _ in merged]:
        first["counts"] = sorted(counts)
    if first.get("returns") != other.get("returns") and f"{first.get('returns')}?" != other.get("returns"):
        first["returns"] = "any"


def _deprecation(doc: str) -> str | None:
    """None where it is not deprecated, else the replacement that the documentation names ("" where none)."""
    tag = re.search(r"@deprecated[ \t]*([^\n*]*)", doc)
    if tag is None:
        return None
    if name := re.match(r"\w+$", tag[1].strip()):
        return name[0]
    said = re.search(
        r"(?:superseded by|in favor of|replaced by|\b[Uu]se|see)(?: using)?(?: the)?(?: newer| new)? `([\w.:]+)(?:\(\))?`", doc
    )
    return said[1] if said else ""


def _member(doc: str, text: str, generics: dict[str, str], types: _Types) -> tuple[str, str | None, dict[str, Any]] | None:
    """Name, type of ``this`` and entry of one declaration; None for what is no API."""
    text = text.strip()
    match = _NAME.match(text)
    if match is None or match["name"].startswith("_nominal_") or match["modifier"] == "set ":
        return None
    rest = text[match.end() :].strip()
    this = None
    if rest.startswith(("(", "<")) and match["modifier"] != "get ":
        this, signature = _callable(rest, generics, types)
        entry = {"kind": "method" if this else "function", **signature}
    else:
        entry = _value(rest.removeprefix("()").removeprefix(":").strip(), match["modifier"], generics, types)
    if re.search(r"\*\*Tags\*\*:[^\n]*(Yields|CanYield)", doc):
        entry["yields"] = True
    if (replacement := _deprecation(doc)) is not None:
        entry["deprecated"] = replacement
    return match["name"], this, entry


def _value(text: str, modifier: str | None, generics: dict[str, str], types: _Types) -> dict[str, Any]:
    """A declaration without parameters of its own: property, event or callback."""
    if signal := re.match(r"RBXScriptSignal(?:<(.*)>)?$", text):
        handler = generics.get(signal[1] or "", signal[1] or "")
        if handler.startswith("("):
            return {"kind": "event", "params": _callable(handler, generics, types)[1]["params"]}
        return {"kind": "event", "params": [["...", "any"]]}
    handler = re.sub(r" \| undefined$", "", text)
    if generics.get(handler) == "Callback":
        return {"kind": "callback", "params": [["...", "any"]], "returns": "any"}
    if handler.startswith("(") and "=>" in handler:
        handler = handler[1:-1] if _closing(handler) == len(handler) - 1 else handler
        return {"kind": "callback", **_callable(handler, generics, types)[1]}
    entry = {"kind": "property", "type": types.luau(text, generics)}
    if modifier in ("readonly ", "get "):
        entry["readonly"] = True
    return entry


def _members(block: _Block, owner: str, types: _Types) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for doc, text in _declarations(block.body):
        member = _member(doc, text, block.generics, types)
        if member is None:
            continue
        name, this, entry = member
        # Two services also declare the spelling without `self`, for roblox-ts only.
        if name in members and this and re.match(r"\w+", this)[0] not in (owner, "T", "RBXObject"):  # type: ignore[index]
            continue
        if name in members and "params" in members[name] and "params" in entry:
            _overload(members[name], entry)
        else:
            members[name] = entry
    return members


# The sections of the database


def _class_names(public: dict[str, _Block], plugin: dict[str, _Block]) -> set[str]:
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
    public: dict[str, _Block], plugin: dict[str, _Block], names: set[str], types: _Types
) -> dict[str, dict[str, Any]]:
    creatable = {*_listed(public["CreatableInstances"]), *_listed(plugin["CreatableInstances"])}
    services = {*_listed(public["Services"]), *_listed(plugin["Services"])}
    classes: dict[str, dict[str, Any]] = {}
    for name in names:
        source_name = "RBXObject" if name == "Object" else name
        block = public.get(source_name) or plugin[source_name]
        entry: dict[str, Any] = {"superclass": "Object" if block.superclass == "RBXObject" else block.superclass}
        if name in creatable:
            entry["creatable"] = True
        if name in services:
            entry["service"] = True
        if source_name not in public or (name in services and name not in _listed(public["Services"])):
            entry["plugin"] = True
        if (replacement := _deprecation(block.doc)) is not None:
            entry["deprecated"] = replacement
        members = _members(block, source_name, types) if source_name in public else {}
        if source_name in plugin:
            for member, value in _members(plugin[source_name], source_name, types).items():
                members.setdefault(member, {**value, "plugin": True})
        entry["members"] = members
        classes[name] = entry
    _hoist(classes)
    return classes


def _listed(block: _Block) -> list[str]:
    return [text.partition(":")[0] for _, text in _declarations(block.body)]


def _hoist(classes: dict[str, dict[str, Any]]) -> None:
    """A member that TypeScript declares as ``unknown`` is declared by each subclass; take the first one's."""
    for name, entry in classes.items():
        for member, value in entry["members"].items():
            if value["kind"] == "property" and value["type"] == "any" and value.get("readonly"):
                subclasses = [c["members"] for _, c in sorted(classes.items()) if c["superclass"] == name]
                declared = [members[member] for members in subclasses if member in members]
                for found in declared if value.get("yields") else ():
                    found["yields"] = True
                entry["members"][member] = declared[0] if declared else value


def _enums(source: str) -> dict[str, dict[str, int]]:
    enums = {}
    for match in _ENUM.finditer(source):
        items = {item["name"]: int(item["value"]) for item in _ITEM.finditer(match["body"])}
        enums[match["name"]] = dict(sorted(items.items(), key=lambda item: (item[1], item[0])))
    return enums


def _datatypes(
    blocks: dict[str, _Block], names: set[str], constructors: dict[str, str], types: _Types
) -> dict[str, dict[str, Any]]:
    datatypes = {}
    for name in names:
        entry: dict[str, Any] = {"members": _members(blocks[name], name, types)}
        if f"{name}Constructor" in blocks:
            entry["statics"] = _statics(blocks[f"{name}Constructor"], types)
        elif name in constructors:
            entry["statics"] = {"new": {"kind": "function", **_callable(constructors[name], {}, types)[1]}}
        datatypes[name] = entry
    return datatypes


def _statics(block: _Block, types: _Types) -> dict[str, Any]:
    """What is read from the datatype's own name: ``Vector3.new``, ``Vector3.zero``."""
    statics = _members(block, "", types)
    for entry in statics.values():
        if entry["kind"] == "callback":
            entry["kind"] = "function"
        entry.pop("readonly", None)
    return dict(sorted(statics.items()))


def _libraries(sources: tuple[str, ...], types: _Types) -> dict[str, dict[str, Any]]:
    libraries: dict[str, dict[str, Any]] = {}
    for source in sources:
        for name, block in _interfaces(source, "namespace").items():
            if name == "TS":
                continue
            entry = libraries.setdefault(name, {"members": {}})
            entry["members"] |= _members(block, "", types)
            for member in entry["members"].values():
                member.pop("readonly", None)
    return libraries


def _globals(sources: tuple[str, ...], types: _Types) -> dict[str, dict[str, Any]]:
    functions: dict[str, dict[str, Any]] = {}
    for source in sources:
        for match in _FUNCTION.finditer(source):
            for _, text in _declarations(match["rest"]):
                name, _, entry = _member(match["doc"] or "", text, {}, types)  # type: ignore[misc]
                if name in functions:
                    _overload(functions[name], entry)
                else:
                    functions[name] = entry
    return functions


# The supplement


def _merge_supplement(database: dict[str, Any], supplement: dict[str, Any]) -> None:
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
    for path, entry in supplement["members"].items():
        owner, _, member = path.partition(".")
        holder = find(owner)["members"]
        holder[member] = holder.get(member, {}) | entry
    for owner, aliases in supplement["aliases"].items():
        for old, new in aliases.items():
            find(owner)["members"][old] = {**find(f"{owner}.{new}"), "deprecated": new}
    for path, replacement in supplement["deprecated"].items():
        find(path)["deprecated"] = replacement
    for side, paths in supplement["side"].items():
        for path in paths:
            find(path)["side"] = side
    for path in supplement["fails"]:
        find(path)["fails"] = True
    for name, values in supplement["defaults"].items():
        for member in values:
            _check_default(name, member, classes)
        find(name)["defaults"] = values


def _check_default(name: str, member: str, classes: dict[str, dict[str, Any]]) -> None:
    owner: str | None = name
    while owner is not None:
        if classes[owner]["members"].get(member, {}).get("kind") == "property":
            return
        owner = classes[owner]["superclass"]
    raise UserError(f"{SUPPLEMENT.name}: defaults: {name}.{member}: no such property; correct it")


if __name__ == "__main__":
    update(*sys.argv[1:2])
