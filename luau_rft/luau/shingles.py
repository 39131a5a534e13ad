"""How alike two programs are, whatever their comments and layout."""

from luau_rft.luau.lexer import tokens

SHINGLE_TOKENS = 5


def shingles(code: str) -> frozenset[tuple[str, ...]]:
    """The runs of five tokens in a program, comments left out; a shorter program is one run.

    >>> len(shingles("local a = 1 -- one\\nprint(a)"))
    4
    """
    texts = [token.text for token in tokens(code) if token.kind != "comment"]
    runs = range(max(1, len(texts) - SHINGLE_TOKENS + 1))
    return frozenset(tuple(texts[start : start + SHINGLE_TOKENS]) for start in runs)


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """The share of all shingles of two programs that both have.

    >>> jaccard(shingles("return 1"), shingles("return 1 -- one"))
    1.0
    """
    return len(a & b) / len(a | b)
