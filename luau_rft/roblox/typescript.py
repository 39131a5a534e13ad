"""Reads type definitions written in TypeScript, as far as those of ``@rbxts/types`` go.

They are written by a generator, formatted alike throughout, so patterns and brackets are enough to read them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_DOC = r"/\*\*(?:(?!\*/).)*\*/"
_BLOCK = re.compile(
    rf"^(?P<doc>{_DOC}\n)?(?:declare )?(?P<kind>interface|namespace) (?P<name>\w+)(?P<generics><[^{{]*?>)?"
    r"(?: extends (?P<super>\w+)[^{]*?)? \{\n(?P<body>.*?)^\}",
    re.M | re.S,
)
_ENUM = re.compile(r"^    export namespace (?P<name>\w+) \{\n(?P<body>.*?)^    \}", re.M | re.S)
_ITEM = re.compile(r"export interface (?P<name>\w+) extends[^{]*\{\s*Name: [^;]*;\s*Value: (?P<value>-?\d+);", re.S)
_ENUM_ALIAS = re.compile(r"@deprecated renamed to \w+\s*\*/\s*export const (?P<old>\w+): (?P<new>\w+);")
_CONSTRUCTOR = re.compile(r"^type (\w+)Constructor = new (\(.*?\) => \w+);", re.M | re.S)
_FUNCTION = re.compile(rf"^(?P<doc>{_DOC}\n)?declare function (?P<rest>\w+.*?;)\n", re.M | re.S)
_SUCCESSOR = re.compile(
    r"(?:superseded by|in favor of|replaced by|\buse|see)(?: using)?(?: the)?(?: newer| new)? `([\w.:]+)(?:\(\))?`",
    re.I,
)
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


@dataclass
class Block:
    """A top-level ``interface`` or ``namespace``."""

    superclass: str | None
    doc: str
    generics: dict[str, str]
    body: str = field(repr=False)


def blocks(source: str, kind: str = "interface") -> dict[str, Block]:
    """The top-level blocks of that kind by name; those of the same name are one."""
    found: dict[str, Block] = {}
    for match in _BLOCK.finditer(source):
        if match["kind"] != kind:
            continue
        if match["name"] in found:
            found[match["name"]].body += match["body"]
        else:
            generics = _generics(match["generics"])
            found[match["name"]] = Block(match["super"], match["doc"] or "", generics, match["body"])
    return found


def enums(source: str) -> dict[str, dict[str, int]]:
    """The items of each enum with their values, in the order of the values."""
    found = {}
    for match in _ENUM.finditer(source):
        items = {item["name"]: int(item["value"]) for item in _ITEM.finditer(match["body"])}
        found[match["name"]] = dict(sorted(items.items(), key=lambda item: (item[1], item[0])))
    return found


def enum_aliases(source: str) -> dict[str, dict[str, str]]:
    """The old names of each enum's items with the present ones."""
    found = {enum["name"]: dict(_ENUM_ALIAS.findall(enum["body"])) for enum in _ENUM.finditer(source)}
    return {name: aliases for name, aliases in found.items() if aliases}


def functions(source: str) -> Iterator[tuple[str, str]]:
    """Documentation and text of each global function."""
    for match in _FUNCTION.finditer(source):
        for _, text in declarations(match["rest"]):
            yield match["doc"] or "", text


def constructors(source: str) -> dict[str, str]:
    """The signatures of datatypes whose only static is ``new``."""
    return dict(_CONSTRUCTOR.findall(source))


def _generics(text: str | None) -> dict[str, str]:
    """Type parameters by name with what they extend: ``<T extends Callback = X>`` → ``{"T": "Callback"}``."""
    parameters = {}
    for part in _split(text[1:-1], ",") if text else ():
        name, _, bound = part.partition(" extends ")
        parameters[name.partition("=")[0].strip()] = bound.partition(" = ")[0].strip() or "unknown"
    return parameters


def _step(token: str) -> int:
    return (token in "([{<") - (token in ")]}>") if len(token) == 1 else 0


def _split(text: str, separator: str) -> list[str]:
    """Parts of ``text`` between separators that no bracket encloses."""
    parts, part, depth = [], "", 0
    for token in _TOKEN.findall(text):
        depth += _step(token)
        if token == separator and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += token
    return [part.strip() for part in (*parts, part) if part.strip()]


def declarations(body: str) -> Iterator[tuple[str, str]]:
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
            depth += _step(token)
            text += token


def _closing(text: str) -> int:
    """Index of the bracket that closes the one ``text`` begins with."""
    depth, at = 0, 0
    for token in _TOKEN.findall(text):
        depth += _step(token)
        if depth == 0:
            return at
        at += len(token)
    raise ValueError(f"no closing bracket: {text[:80]}")


class Types:
    """Turns TypeScript types into Luau ones, keeping what the scorers and the engine can use.

    ``known`` are the names of classes and datatypes; any other interface is a table.
    """

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


def _parameters(text: str, generics: dict[str, str], types: Types) -> tuple[str | None, list[list[str]]]:
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


def signature(text: str, generics: dict[str, str], types: Types) -> tuple[str | None, dict[str, Any]]:
    """``<T>(this: X, a: number): R`` or ``(a: number) => R``: the type of ``this`` and the signature."""
    if text.startswith("<"):
        end = _closing(text)
        generics = {**generics, **_generics(text[: end + 1])}
        text = text[end + 1 :].strip()
    end = _closing(text)
    this, parameters = _parameters(text[1:end], generics, types)
    returns = types.luau(text[end + 1 :].strip().removeprefix("=>").removeprefix(":").strip() or "void", generics)
    return this, {"params": parameters} if returns == "()" else {"params": parameters, "returns": returns}


def overload(first: dict[str, Any], other: dict[str, Any]) -> None:
    """Fold another signature into ``first``: what only one of them takes is optional, what differs is ``any``."""
    counts = _counts(first) | _counts(other)
    long, short = sorted((first["params"], other["params"]), key=len, reverse=True)
    merged = []
    for index, (name, kind) in enumerate(long):
        beyond = index >= len(short)
        luau = kind if beyond or name == "..." or short[index][1].rstrip("?") == kind.rstrip("?") else "any"
        optional = beyond or any(params[index][1].endswith("?") for params in (long, short))
        merged.append([name, f"{luau.rstrip('?')}?" if optional and name != "..." else luau])
    first["params"] = merged
    first.pop("counts", None)
    if counts != _counts(first) and "..." not in dict(merged):
        first["counts"] = sorted(counts)
    if first.get("returns") != other.get("returns") and f"{first.get('returns')}?" != other.get("returns"):
        first["returns"] = "any"


def _counts(signature: dict[str, Any]) -> set[int]:
    """With how many arguments it can be called."""
    required = [index for index, (_, kind) in enumerate(signature["params"], start=1) if not kind.endswith("?")]
    return set(signature.get("counts") or range(max(required, default=0), len(signature["params"]) + 1))


def deprecation(doc: str) -> str | None:
    """None where it is not deprecated, else the replacement that the documentation names ("" where none)."""
    tag = re.search(r"@deprecated[ \t]*([^\n*]*)", doc)
    if tag is None:
        return None
    if name := re.match(r"\w+$", tag[1].strip()):
        return name[0]
    said = _SUCCESSOR.search(doc)
    return said[1] if said else ""


def member(
    doc: str, text: str, generics: dict[str, str], types: Types
) -> tuple[str, str | None, dict[str, Any]] | None:
    """Name, type of ``this`` and entry of one declaration; None for what is no API."""
    match = _NAME.match(text)
    if match is None or match["name"].startswith("_nominal_") or match["modifier"] == "set ":
        return None
    rest = text[match.end() :].strip()
    this = None
    if rest.startswith(("(", "<")) and match["modifier"] != "get ":
        this, called = signature(rest, generics, types)
        entry = {"kind": "method" if this else "function", **called}
    else:
        entry = _value(rest.removeprefix("()").removeprefix(":").strip(), match["modifier"], generics, types)
    if re.search(r"\*\*Tags\*\*:[^\n]*(Yields|CanYield)", doc):
        entry["yields"] = True
    if (replacement := deprecation(doc)) is not None:
        entry["deprecated"] = replacement
    return match["name"], this, entry


def _value(text: str, modifier: str | None, generics: dict[str, str], types: Types) -> dict[str, Any]:
    """A declaration without parameters of its own: property, event or callback."""
    if signal := re.match(r"RBXScriptSignal(?:<(.*)>)?$", text):
        handler = generics.get(signal[1] or "", signal[1] or "")
        if handler.startswith("("):
            return {"kind": "event", "params": signature(handler, generics, types)[1]["params"]}
        return {"kind": "event", "params": [["...", "any"]]}
    handler = re.sub(r" \| undefined$", "", text)
    if generics.get(handler) == "Callback":
        return {"kind": "callback", "params": [["...", "any"]], "returns": "any"}
    if handler.startswith("(") and "=>" in handler:
        handler = handler[1:-1] if _closing(handler) == len(handler) - 1 else handler
        return {"kind": "callback", **signature(handler, generics, types)[1]}
    entry = {"kind": "property", "type": types.luau(text, generics)}
    if modifier in ("readonly ", "get "):
        entry["readonly"] = True
    return entry


def members(block: Block, owner: str, types: Types) -> dict[str, Any]:
    """The entries of a block's members by name, overloads folded into one; ``owner`` is the block's name."""
    found: dict[str, Any] = {}
    for doc, text in declarations(block.body):
        read = member(doc, text, block.generics, types)
        if read is None:
            continue
        name, this, entry = read
        # Two services also declare methods of other receivers, a spelling of roblox-ts.
        if name in found and this is not None and not re.match(rf"(?:{owner}|T|RBXObject)\b", this):
            continue
        if name in found and "params" in found[name] and "params" in entry:
            overload(found[name], entry)
        else:
            found[name] = entry
    return found
