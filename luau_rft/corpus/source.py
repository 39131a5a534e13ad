"""What every source of the corpus yields."""

from dataclasses import dataclass

LUAU_SUFFIXES = (".lua", ".luau")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One Luau file with its provenance; ``license`` is an SPDX expression as its author wrote it, or empty."""

    source: str  # npm, hub or directory
    package: str
    path: str
    license: str
    code: str


def decode(content: bytes) -> str:
    """Text of a file; U+FFFD stands where it is not UTF-8, which a filter sorts out and counts."""
    return content.decode("utf-8-sig", errors="replace")
