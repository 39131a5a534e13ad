"""Takes the code out of an answer: no Markdown fences, no chatter around it."""

import re
from dataclasses import dataclass, field

_LUAU = {"lua", "luau", "rbxlua", "roblox"}
_MARKDOWN = {"markdown", "md"}

_THOUGHT = re.compile(r"(?:\A\s*<think(?:ing)?>)?.*?</think(?:ing)?>", re.DOTALL)
_END_TOKEN = re.compile(r"(?:\s*(?:<\|\w+\|>|</s>))+\Z")
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?:\{?\.?(?P<language>[\w+-]+)\b[^`]*)?")
_FENCE_AFTER_TEXT = re.compile(r".*[:.!]\s+(?P<fence>```\w*)")
_ONE_LINE = re.compile(r"\s*```(?:luau?\s+)?([^`\n]+)```|`([^`\n]+)`", re.IGNORECASE)
# Strings and comments of Luau; a fence inside a long one is text.
_LITERAL = re.compile(
    r"--(?!\[=*\[)[^\n]*|(?P<long>(?:--)?\[(?P<level>=*)\[.*?\](?P=level)\])"
    r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)

# Words that may stand beside another word in Luau.
_KEYWORDS = (
    "and|break|continue|do|else|elseif|end|export|false|for|function|if|in|local|nil|not|or|repeat|return|then|true|type|"
    "typeof|until|while"
)
_MARKUP = re.compile(r"(?:#{1,6}|[-*•>]|\d+[.)])\s+\S|\*\*|</?[A-Za-z]+>$|[^\x00-\x7f]")
_RULE = re.compile(r"[-*_]{3,}$")  # to Luau, --- is a comment
# A sentence starts with a capital and has two neighbouring words, which Luau never has outside strings and comments...
_SENTENCE = re.compile(rf"[A-Z][\w'\u2019]*[,.!:]?\s+(?!(?:{_KEYWORDS})\b)[A-Za-z][\w'\u2019]*(?=[\s,.!?:;]|$)(?!\s*=)")
# ... or is a word or two with an end mark ("Explanation:", "Sure!") ...
_REMARK = re.compile(r"[A-Z][\w'\u2019 ]*(?:[!?:]|(?<!\.)\.)$")
# ... or several words with one that no line of Luau ends with ("here is the script:").
_ANNOUNCEMENT = re.compile(r"[a-z][\w'\u2019]*,?(?: [\w'\u2019]+,?)+[!:]$")
_LANGUAGE_NAME = re.compile(r"luau?", re.IGNORECASE)


@dataclass
class _Block:
    """What stands between two fences; ``marks`` are those that opened it."""

    marks: str
    language: str
    indent: int
    lines: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def text(self) -> str:
        """The content, as far to the left as its fence."""
        return "\n".join(re.sub(rf"^[ \t]{{0,{self.indent}}}", "", line) for line in self.lines)


def clean(text: str) -> tuple[str, bool]:
    """Return an answer's code and whether anything but blank space had to be removed to get it.

    Several fenced blocks are joined: those that say they are Luau, else those that name no language, else all. A fence
    inside a long string or comment is part of it. Thoughts before the answer are left out, line ends are those of Unix.
    An answer without any code stays as it is, and the scorers say what it is worth.

    >>> clean("Sure! Here is the script:\\n```lua\\nprint(1)\\n```\\nEnjoy!")
    ('print(1)', True)
    >>> clean("print(1)\\n")
    ('print(1)', False)
    """
    stripped = text.replace("\r\n", "\n").strip()
    answer = _END_TOKEN.sub("", _THOUGHT.sub("", stripped, count=1)).strip("\ufeff\u200b \t\n")
    code = _without_chatter(_unfence(answer))
    return (code, code != stripped) if code else (stripped, False)


def _unfence(text: str) -> str:
    if one_line := _ONE_LINE.fullmatch(text):
        return one_line[1] or one_line[2]
    before, blocks = _blocks(text)
    if blocks and not blocks[0].language and not blocks[0].closed and _without_chatter(before):
        blocks[0] = _Block("", "luau", 0, before.split("\n"))  # code from the start, with a closing fence alone
    blocks = [block for block in blocks if block.text.strip()]
    if not blocks:
        return before
    languages = {block.language for block in blocks}
    wanted = languages & _LUAU or languages & {""} or languages
    chosen = [block for block in blocks if block.language in wanted]
    return "\n\n".join(
        (_unfence(block.text) if block.language in _MARKDOWN else block.text).strip() for block in chosen
    )


def _blocks(text: str) -> tuple[str, list[_Block]]:
    """What stands before the first fence, and the fenced blocks."""
    literals = [match.span() for match in _LITERAL.finditer(text) if match["long"]]
    before: list[str] = []
    blocks: list[_Block] = []
    block: _Block | None = None
    start = 0
    for line in text.split("\n"):
        within = any(first < start < end for first, end in literals)
        start += len(line) + 1
        opened = None if within else _opened(line, inside=block is not None)
        if block is not None and not within and _closes(line, block):
            block.closed = True
            if code := line.rstrip().removesuffix(block.marks).rstrip():
                block.lines.append(code)
            block = None
        elif opened and (block is None or (opened.language and len(opened.marks) >= len(block.marks))):
            block = opened
            blocks.append(block)
        else:
            (before if block is None and not blocks else block.lines if block else []).append(line)
    return "\n".join(before), blocks


def _opened(line: str, inside: bool) -> _Block | None:
    fence = _FENCE.fullmatch(line.rstrip())
    if not fence and not inside and (after_text := _FENCE_AFTER_TEXT.fullmatch(line.rstrip())):
        fence = _FENCE.fullmatch(after_text["fence"])
    if not fence:
        return None
    return _Block(fence["marks"], (fence["language"] or "").lower(), len(fence["indent"]))


def _closes(line: str, block: _Block) -> bool:
    """Whether a line ends the block: as many marks or more by themselves, or the marks behind the last line of code."""
    line = line.strip()
    if set(line) == set(block.marks):
        return len(line) >= len(block.marks)
    return block.marks[0] == "`" and line.endswith(block.marks) and line.count("`") == len(block.marks)


def _without_chatter(text: str) -> str:
    lines = text.strip().split("\n")
    if _LANGUAGE_NAME.fullmatch(lines[0].strip()):
        lines.pop(0)
    lines = _trimmed(_trimmed(lines)[::-1])[::-1]
    return "\n".join(lines).strip()


def _trimmed(lines: list[str]) -> list[str]:
    """Without the chatter that the lines begin with; a rule goes where it sets chatter apart."""
    first = 0
    while first < len(lines) and (
        _is_chatter(lines[first])
        or (first and _RULE.fullmatch(lines[first].strip()) and not "".join(lines[first + 1 : first + 2]).strip())
    ):
        first += 1
    return lines[first:]


def _is_chatter(line: str) -> bool:
    line = line.strip()
    return not line or any(pattern.match(line) for pattern in (_MARKUP, _SENTENCE, _REMARK, _ANNOUNCEMENT))
