"""Reverse labels: what a creator would have asked for to get a given piece of code.

The teacher ``embedded`` goes by comments and names and needs no model; ``claude`` reads the code (``claude_label.py``).
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Literal

from luau_rft import tables
from luau_rft.corpus.comments import description
from luau_rft.luau.lexer import Token, tokens
from luau_rft.teacher import claude_label
from luau_rft.teacher.claude import ClaudeParams, Desk

VERSION = 1  # of the rules below and of corpus/comments.py; a new one labels every row anew
MAX_FUNCTIONS = 5  # named in a label

# What comments in the imperative begin with, and, with an s, those in the third person.
_VERBS = frozenset(
    {
        "accept", "add", "adjust", "allow", "animate", "answer", "append", "apply", "ask", "assert", "assign",
        "attach", "award", "bind", "block", "blow", "bounce", "break", "bring", "broadcast", "build", "buy",
        "calculate", "call", "cancel", "carry", "change", "chase", "check", "choose", "clamp", "clean", "clear",
        "click", "clone", "close", "collect", "collide", "color", "combine", "compare", "compute", "concatenate",
        "connect", "construct", "contain", "convert", "copy", "count", "create", "cut", "damage", "decide", "decode",
        "decrease", "deep", "define", "delay", "delete", "destroy", "detect", "determine", "disable", "disconnect",
        "display", "draw", "drop", "emulate", "enable", "encode", "ensure", "equip", "escape", "evaluate", "execute",
        "explode", "expose", "extend", "fade", "fetch", "fill", "filter", "find", "fire", "flatten", "flee", "flip",
        "follow", "force", "format", "freeze", "generate", "get", "give", "glue", "greet", "group", "grow", "guard",
        "handle", "heal", "hide", "hold", "implement", "increase", "initialize", "insert", "invoke", "iterate", "join",
        "keep", "kick", "kill", "launch", "let", "lift", "light", "limit", "listen", "load", "lock", "log", "loop",
        "lower", "make", "manage", "map", "mark", "match", "measure", "merge", "mock", "modify", "move", "name",
        "normalize", "number", "observe", "open", "pack", "paint", "parse", "pause", "pick", "place", "play", "point",
        "poll", "print", "process", "produce", "protect", "provide", "pull", "push", "put", "query", "raise", "read",
        "reduce", "register", "remember", "remove", "rename", "render", "replace", "replicate", "report", "represent",
        "reset", "resolve", "respond", "restore", "retrieve", "return", "reverse", "reward", "ring", "rotate", "round",
        "run", "save", "scale", "schedule", "search", "select", "send", "serialize", "set", "shake", "share", "shoot",
        "show", "shrink", "shuffle", "slice", "slide", "slow", "smooth", "sort", "spawn", "spin", "splice", "split",
        "start", "steer", "stop", "store", "strip", "subscribe", "sum", "swap", "switch", "take", "teleport", "tell",
        "throttle", "throw", "tint", "toggle", "touch", "track", "trade", "transform", "translate", "try", "turn",
        "tween", "unlock", "unpack", "unwrap", "update", "validate", "verify", "wait", "walk", "warn", "wear",
        "welcome", "wrap", "write", "yield",
    }
)  # fmt: skip
_SENTENCE = re.compile(r"\b(is|are|was|were|will|has|have|can|should|must|do|does)\b")

COLUMNS = ("task", "category", "kind", "labeler", "cost_usd")  # of a label


class LabelParams(ClaudeParams):
    """Section ``label``."""

    teacher: Literal["embedded", "claude"]


def label(
    corpus: Iterable[Mapping[str, Any]],
    params: LabelParams,
    known: Mapping[str, Mapping[str, Any]],
    desk: Desk | None = None,
) -> list[dict[str, Any]]:
    """Rows of the ``labeled`` table; a row of ``known``, by its ``key``, is neither made nor asked for again.

    Claude has its rows and answers from the ``desk``. Raises ``UserError`` where that stops; what came until then is
    kept.
    """
    rows = [dict(row) for row in corpus]
    if params.teacher == "claude":
        assert desk is not None
        labels = claude_label.labels(rows, params, desk)
    else:
        labels = [_embedded(row, known) for row in rows]
    return [row | label for row, label in zip(rows, labels, strict=True)]


def _embedded(row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    key = tables.content_hash("label", "embedded", VERSION, row["code"], row["path"])
    if key in known:
        return {name: known[key][name] for name in (*COLUMNS, "key")}
    kind = script_kind(row["code"], row["path"])
    task = embedded(row["code"], row["path"])
    return {"task": task, "category": None, "kind": kind, "labeler": "embedded", "key": key, "cost_usd": 0.0}


def embedded(code: str, path: str) -> str:
    """A label without a model: from what the comments say, else from the module's name and functions; empty where
    neither tells what the code is for.

    >>> embedded("-- Opens the door.\\nprint(1)", "Door.server.luau")
    'Write a Script that opens the door.'
    >>> embedded("local Door = {}\\nfunction Door.open(angle: number) end\\nreturn Door", "src/Door.luau")
    'Write a ModuleScript named Door with the function open(angle).'
    """
    kind = script_kind(code, path)
    article = {"server": "a Script", "client": "a LocalScript", "module": "a ModuleScript"}[kind]
    name = module_name(path)
    public = functions(code, name)[:MAX_FUNCTIONS]
    listing = _listing([signature for _, signature in public])
    is_function = (
        bool(public) and re.search(rf"^return (function\b|{re.escape(public[0][0])}$)", code, re.MULTILINE) is not None
    )
    said = description(code)
    request = _request(article, said) if said else None
    if request is None:
        named = (
            f"that returns {listing}" if is_function else f"named {name} with {listing}" if name else f"with {listing}"
        )
        return f"Write {article} {named}." if listing else ""
    if listing and not any(f"{function}(" in request for function, _ in public):
        return f"{request} It {'returns' if is_function else 'has'} {listing}."
    return request


def script_kind(code: str, path: str) -> Literal["server", "client", "module"]:
    """What kind of script it is, by its file name, else by what it returns and whose side it names."""
    for kind in ("server", "client"):
        if re.search(rf"\.{kind}\.luau?$", path):
            return kind
    if re.search(r"^return\b", code, re.MULTILINE):
        return "module"
    return "client" if re.search(r"\bLocalPlayer\b", code) else "server"


def module_name(path: str) -> str:
    """The name that Studio would show: of the file, or of its folder where the file is ``init``; empty if that says
    nothing.

    >>> module_name("src/Maid/init.lua"), module_name("src/Spring.client.lua"), module_name("src/init.lua")
    ('Maid', 'Spring', '')
    """
    pure = PurePosixPath(path)
    name = pure.name.split(".")[0]
    name = pure.parent.name if name in ("init", "index") else name
    return "" if name in ("src", "lib", "out", "dist", "main", "package") else name


def functions(code: str, name: str) -> list[tuple[str, str]]:
    """Names and signatures of the functions that a module gives away: its table's, or the one that it returns, which is
    called ``name`` if it has none.

    >>> functions("local function twice(x: number, f: (number) -> number)\\nend\\nreturn twice", "Module")
    [('twice', 'twice(x, f)')]
    """
    code_tokens = [token for token in tokens(code) if token.kind != "comment"]
    returned = re.findall(r"^return ([A-Za-z_]\w*)\s*$", code, re.MULTILINE)
    found = []
    for index, (before, token) in enumerate(pairwise([None, *code_tokens])):
        prefix = before.text if before and before.text in ("local", "return") else ""
        start = before.start if prefix else token.start
        if token.text != "function" or (start and code[start - 1] != "\n"):
            continue
        end = next((i for i in range(index + 1, len(code_tokens)) if code_tokens[i].text in ("(", "<")), index + 1)
        names = [part.text for part in code_tokens[index + 1 : end] if part.kind == "name"]
        if prefix == "return" and name:
            names = [name]
        elif not names or names[0] not in returned:
            continue
        if not names[-1].startswith("_"):
            found.append((names[-1], f"{names[-1]}({', '.join(_parameters(code_tokens, end))})"))
    return found


def _parameters(code_tokens: list[Token], start: int) -> list[str]:
    """The names between the parentheses that open at ``start`` or, after generics, later; types are left out."""
    while start < len(code_tokens) and code_tokens[start].text != "(":
        start += 1
    names, depth = [], 0
    for before, token in pairwise(code_tokens[start:]):
        depth += (before.text in "({[<") - (token.text in ")}]>")
        if depth == 0 and token.text == ")":
            break
        if depth == 1 and before.text in "(," and (token.kind == "name" or token.text == "..."):
            names.append(token.text)
    return [name for name in names if name != "self"]


def _listing(signatures: list[str]) -> str:
    if len(signatures) < 2:
        return "".join(f"the function {signature}" for signature in signatures)
    return f"the functions {', '.join(signatures[:-1])} and {signatures[-1]}"


def _request(article: str, said: str) -> str | None:
    """The description as a request; None where it is neither a verb phrase nor the name of a thing."""
    said = said if said[-1] in ".!?" else f"{said}."
    said = re.sub(r"^(This|The|A|An) (\w+ )?(module|script|class|function|utility|library) (?=\w+s )", "", said)
    first, _, tail = said.partition(" ")
    verb = first.lower()
    if _third_person(verb):
        return f"Write {article} that {verb} {tail}"
    if verb in _VERBS:
        return f"Write {article} to {verb} {tail}"
    if verb in ("when", "whenever", "while", "once"):
        return f"Write {article}: {verb} {tail}"
    thing = re.split(r"\b(?:that|which|who|where)\b|[.:;]", said)[0]
    if re.match(r"(An?|The|Utilit\w+|Helpers?|Functions?|Methods?) ", thing) and not _SENTENCE.search(thing):
        return f"Write {article} that provides {verb} {tail}"
    return None


def _third_person(verb: str) -> bool:
    stems = [verb.removesuffix("s"), verb.removesuffix("es"), re.sub("ies$", "y", verb)]
    return verb.endswith("s") and any(stem in _VERBS for stem in stems)
