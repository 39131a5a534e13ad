"""Finds programs that repeat an earlier one, exactly or nearly."""

from collections.abc import Sequence

from luau_rft.luau.lexer import tokens
from luau_rft.luau.shingles import jaccard, shingles
from luau_rft.progress import bar

PERMUTATIONS = 128


def repeats(codes: Sequence[str], threshold: float, seed: int) -> list[str | None]:
    """For each program ``exact duplicate``, ``near duplicate`` or None, compared with those before it that got None.

    Comments and layout do not count. Near is a Jaccard similarity of token shingles of at least ``threshold``;
    MinHash finds who may be alike, the shingles themselves decide.
    """
    from datasketch import MinHash, MinHashLSH

    # MinHash only estimates: a wider search misses hardly any, and the exact comparison below drops what is too far.
    index = MinHashLSH(threshold=0.8 * threshold, num_perm=PERMUTATIONS)
    seen: set[str] = set()
    kept: dict[int, frozenset[tuple[str, ...]]] = {}

    def verdict(number: int, code: str) -> str | None:
        normal = "\0".join(token.text for token in tokens(code) if token.kind != "comment")
        if normal in seen:
            return "exact duplicate"
        found = shingles(code)
        signature = MinHash(num_perm=PERMUTATIONS, seed=seed)
        signature.update_batch(["\0".join(shingle).encode("utf-8", "replace") for shingle in found])
        if any(jaccard(found, kept[other]) >= threshold for other in index.query(signature)):
            return "near duplicate"
        seen.add(normal)
        kept[number] = found
        index.insert(number, signature)
        return None

    verdicts = []
    with bar("looking for duplicates", len(codes)) as advance:
        for number, code in enumerate(codes):
            verdicts.append(verdict(number, code))
            advance(1)
    return verdicts
