"""What a file's comments say about it: the description that a label is made of, the licence that is not learned."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from luau_rft.luau.lexer import Token, tokens

MAX_DESCRIPTION = 240  # characters
WIDTH = 110

_LICENSE = re.compile(
    r"copyright|\(c\)|©|licen[cs]e|SPDX-|all rights reserved|permission is hereby|without warranty", re.IGNORECASE
)
_LINTERS = r"eslint|selene|stylua|luacheck"
_NOTE = r"ROBLOX (upstream|deviation|comment|note|fixme|todo)"  # in code that was ported from JavaScript
# Sentences about the file's history and authors, of which the code shows nothing.
_NOT_ABOUT_CODE = re.compile(
    rf"\b(authors?|credits?|maintainers?|version|changelog|TODO|FIXME|HACK|{_NOTE}|{_LINTERS})\b"
    r"|\b(written|made|created|originally|ported|scripted|developed|contributed)\s+(by|from|in)\b|^by\s"
    r"|https?://|@\w|#\w|\b\d{4}-\d\d-\d\d\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(rf"^[^\w\n]*@\w|```|^[^\w\n]*({_NOTE})\b|{_LINTERS}", re.MULTILINE | re.IGNORECASE)
_CODE = re.compile(
    r"^(local|return|end|if|for|while|function|print|require)\b.*[=()]|[;{]$|\bend\)?$|:=|==|\w\s=\s\w|\)\s*->"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A comment, or adjacent line comments, from ``start`` to ``end`` in characters; ``text`` without the markers."""

    text: str
    start: int
    end: int
    leading: bool  # before the first line of code


def blocks(code: str) -> Iterator[Block]:
    """The comments that stand on lines of their own, in order; ``--!strict`` and its like are none."""
    pending: list[Token] = []
    leading = True
    for token in tokens(code):
        # Asked of comments alone: a program without line breaks has thousands of tokens on a long line.
        own_line = token.kind == "comment" and not code[code.rfind("\n", 0, token.start) + 1 : token.start].strip()
        if pending and not (_is_line(token) and own_line and code.count("\n", pending[-1].end, token.start) == 1):
            yield _block(pending, leading)
            pending = []
        if token.kind != "comment":
            leading = False
        elif own_line and not token.text.startswith("--!"):
            pending.append(token)
            if not _is_line(token):
                yield _block(pending, leading)
                pending = []
    if pending:
        yield _block(pending, leading)


def without_license(code: str) -> str:
    """The code without its leading licence texts.

    >>> without_license("-- Copyright 2020 Somebody\\n\\nreturn 1\\n")
    'return 1\\n'
    """
    for block in reversed([block for block in blocks(code) if block.leading and _LICENSE.search(block.text)]):
        code = code[: block.start] + code[block.end :].lstrip("\n")
    return code


def without_documentation_markup(code: str) -> str:
    """The code with its Moonwave and JSDoc comments, notes on its history and linter marks cut down to their prose.

    >>> print(without_documentation_markup("--[=[\\n\\t@within Maid\\n\\n\\tCleans up a Maid.\\n]=]\\nreturn 1"))
    -- Cleans up a Maid.
    return 1
    """
    for block in reversed(list(blocks(code))):
        line_end = code.find("\n", block.end) % (len(code) + 1)  # the end of the code where no line follows
        if not _MARKUP.search(block.text) or code[block.end : line_end].strip():
            continue
        line_start = code.rfind("\n", 0, block.start) + 1
        indent = code[line_start : block.start] + "-- "
        lines = textwrap.wrap(prose(block.text) or "", WIDTH, initial_indent=indent, subsequent_indent=indent)
        code = code[:line_start] + "".join(line + "\n" for line in lines) + code[line_end + 1 :]
    return code


def description(code: str) -> str | None:
    """One or two sentences on what the file does: of its leading comment, else of its class's Moonwave comment, else of
    its only documented function; None when there are none.

    >>> description("-- Opens the door.\\n-- TODO: close it.\\nlocal x = 1")
    'Opens the door.'
    """
    found = list(blocks(code))
    documented = [block for block in found if not block.leading and _is_documentation(block)]
    classes = [block for block in documented if "@class" in block.text]
    candidates = [block for block in found if block.leading] + (
        classes or documented if len(documented) == 1 else classes
    )
    return next(filter(None, (prose(block.text) for block in candidates)), None)


def prose(comment: str) -> str | None:
    """The first one or two sentences of a comment's text that say something about code; None when there are none.

    Passed over are the tags of Moonwave and JSDoc, examples, headings, licences, authors and code commented out.
    """
    comment = re.sub(r"```.*?(```|\Z)", "", comment, flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", comment):
        lines = []
        for line in paragraph.splitlines():
            line = line.strip(" \t*|")
            if line.startswith("@"):  # the rest of the paragraph explains the tag
                break
            if re.search(r"[A-Za-z]{2}", line) and not re.match(r"#|:::", line):
                lines.append(line)
        text = _plain(" ".join(lines))
        if _LICENSE.search(text) or any(_CODE.search(line) for line in lines):
            continue
        sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
        kept = [sentence for sentence in sentences[:2] if not _NOT_ABOUT_CODE.search(sentence)]
        while len(" ".join(kept)) > MAX_DESCRIPTION:
            kept.pop()
        if kept and len(kept[0].split()) >= 3 and re.match(r"[A-Za-z'\"(]", kept[0]):
            return " ".join(kept)
    return None


def _is_line(token: Token) -> bool:
    return token.kind == "comment" and not re.match(r"--\[=*\[|--!", token.text)


def _is_documentation(block: Block) -> bool:
    return block.text.count("\n") > 0 or "@" in block.text


def _block(group: list[Token], leading: bool) -> Block:
    texts = [re.sub(r"^--\[(=*)\[|\](=*)\]$|^-{2,}", "", token.text) for token in group]
    return Block("\n".join(texts), group[0].start, group[-1].end, leading)


def _plain(text: str) -> str:
    """Markdown as plain text on one line."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)  # [text](address)
    text = re.sub(r"\[([\w.:]+)\]", r"\1", text)  # Moonwave's [Class.member]
    text = re.sub(r"[`*]+|[-=_~]{3,}", "", text)
    return " ".join(text.split())
