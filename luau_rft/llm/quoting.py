"""Text of others inside a prompt: data that cannot pass for a part of the prompt."""

import hashlib
import re


def quoted(name: str, text: str, beside: str = "") -> str:
    """A block whose end ``text`` cannot contain: the tags carry a number made from the whole text.

    ``beside`` is other such text of the same prompt: it cannot contain the tags either.

    >>> print(quoted("code", "print(1)"))
    <code-53b80994930f0ef6>
    print(1)
    </code-53b80994930f0ef6>
    """
    number, mark = 0, ""
    while not mark or mark in (text + beside).lower():
        mark = hashlib.sha256(f"{number}:{text}{beside}".encode()).hexdigest()[:16]
        number += 1
    return f"<{name}-{mark}>\n{text}\n</{name}-{mark}>"


def filled(template: str, **values: str) -> str:
    """A prompt with each ``{name}`` replaced; braces in a value are left alone.

    >>> filled("Task: {task} Code: {code}", task="say {code}", code="print(1)")
    'Task: say {code} Code: print(1)'
    """
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)
