"""Takes the code out of an answer: no Markdown fences, no chatter around it."""

import re

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[ \t]*$", re.MULTILINE)
_LUAU = {"", "lua", "luau", "roblox"}

# Words that may stand beside another word in Luau.
_KEYWORDS = (
    "and|break|continue|do|else|elseif|end|export|false|for|function|if|in|local|nil|not|or|repeat|return|then|true|type|"
    "typeof|until|while"
)
_HEADING_OR_ITEM = re.compile(r"(?:#{1,6}|[-*•]|\d+[.)])\s+\S")
# A sentence starts with a capital and has two neighbouring words, which Luau never has outside strings and comments...
_SENTENCE = re.compile(rf"[A-Z][\w'\u2019]*[,.!:]?\s+(?!(?:{_KEYWORDS})\b)[A-Za-z][\w'\u2019]*(?=[\s,.!?:;]|$)(?!\s*=)")
# ... or is a word or two with an end mark ("Explanation:", "Sure!").
_REMARK = re.compile(r"[A-Z][\w'\u2019 ]*(?:[!?:]|(?<!\.)\.)$")


def clean(text: str) -> tuple[str, bool]:
    """Return an answer's code and whether anything but blank space had to be removed to get it.

    Several fenced blocks are joined; blocks in other languages are left out if there is one in Luau. An answer
    without any code stays as it is, and the scorers say what it is worth.

    >>> clean("Sure! Here is the script:\\n```lua\\nprint(1)\\n```\\nEnjoy!")
    ('print(1)', True)
    >>> clean("print(1)\\n")
    ('print(1)', False)
    """
    stripped = text.strip()
    code = _without_chatter(_unfence(stripped))
    return (code, code != stripped) if code else (stripped, False)


def _unfence(text: str) -> str:
    marks = list(_FENCE.finditer(text))
    if not marks:
        return text
    before = text[: marks[0].start()]
    if len(marks) == 1 and _without_chatter(before):
        return before  # code from the start, with a closing fence alone
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    blocks = [(mark[1].lower(), text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)][::2]
    luau = [block for language, block in blocks if language in _LUAU]
    return "\n\n".join(block.strip() for block in luau or [block for _, block in blocks])


def _without_chatter(text: str) -> str:
    lines = text.strip().split("\n")
    while lines and _is_chatter(lines[0]):
        lines.pop(0)
    while lines and _is_chatter(lines[-1]):
        lines.pop()
    return "\n".join(lines).strip()


def _is_chatter(line: str) -> bool:
    line = line.strip()
    return not line or any(pattern.match(line) for pattern in (_HEADING_OR_ITEM, _SENTENCE, _REMARK))
