"""Finds programs that repeat an earlier one, exactly or nearly."""

from collections.abc import Sequence

from luau_rft.luau.lexer import tokens
from luau_rft.luau.shingles import jaccard, shingles

PERMUTATIONS = 128


def repeats(codes: Sequence[str], threshold: float, seed: int) -> list[str | None]:
    """For each program ``exact duplicate``, ``near duplicate`` or None, compared with those before it that got None.

    Comments and layout do not count. Near is a Jaccard similarity of token shingles of at least ``threshold``;
    MinHash finds who may be alike, the shingles themselves decide.

    >>> repeats(["print(1)", "print(1) -- again", "print(2, 3)"], threshold=0.8, seed=0)
    [None, 'exact duplicate', None]
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    seen: set[str] = set()
    kept: dict[int, frozenset[tuple[str, ...]]] = {}
    verdicts: list[str | None] = []
    for number, code in enumerate(codes):
        normal = "\0".join(token.text for token in tokens(code) if token.kind != "comment")
        if normal in seen:
            verdicts.append("exact duplicate")
            continue
        found = shingles(code)
        signature = MinHash(num_perm=PERMUTATIONS, seed=seed)
        signature.update_batch(["\0".join(shingle).encode("utf-8", "replace") for shingle in found])
        if any(jaccard(found, kept[other]) >= threshold for other in index.query(signature)):
            verdicts.append("near duplicate")
            continue
        seen.add(normal)
        kept[number] = found
        index.insert(number, signature)
        verdicts.append(None)
    return verdicts
