"""What questions will cost, before they are asked, from the dated price table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from luau_rft.llm import prices
from luau_rft.llm.base import Question, Usage

# Share of a batch's requests that find the cache filled, as the provider's documentation gives it: its requests run
# side by side, in no order.
BATCH_HITS = (0.30, 0.98)
DIRECT_HITS = (1.0, 1.0)  # the first of those that share a beginning is asked alone
# Tokens of an answer that has not come yet; assumed. A judge's and a label's go by what their prompts ask for; Claude's
# programs are taken to be half as long again as the tasks' references.
OUTPUT = {"label": 90, "gold": 1050, "judge": 140, "health": 140}


@dataclass(frozen=True, slots=True)
class Size:
    """Tokens of a question and its answer; ``group`` names the questions that have ``shared`` in common."""

    system: int
    shared: int
    group: str
    prompt: int
    output: int

    @classmethod
    def of(cls, question: Question, output: int | None = None) -> "Size":
        """Of a question whose answer, if nothing better is known, is as long as those of its stage are taken to be."""
        return cls(
            prices.tokens(question.system),
            prices.tokens(question.shared),
            question.shared,
            prices.tokens(question.prompt),
            OUTPUT[question.stage] if output is None else output,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """``usage`` as of the fewest hits; the dollars go from the most hits to the fewest."""

    requests: int
    usage: Usage
    cheapest: float
    dearest: float
    batch: bool

    def __str__(self) -> str:
        low, high = f"${self.cheapest:.2f}", f"${self.dearest:.2f}"
        cached = self.usage.cache_write + self.usage.cache_read
        word = "request" if self.requests == 1 else "requests"
        manner = f"{word} in batches" if self.batch else f"direct {word}"
        return (
            f"{self.requests} {manner}, about "
            f"{self.usage.input:,} input, {cached:,} cached and {self.usage.output:,} output tokens, "
            f"{low if low == high else f'{low} to {high}'}"
        )


def usage(model: str, sizes: Sequence[Size], hits: float) -> Usage:
    """Tokens by what they cost. What several questions begin with is marked for the cache where it is long enough; the
    first of them writes it, and of the others the share ``hits`` reads it and the rest write it again.
    """
    least = prices.least_cached(model)
    systems = Counter(size.system for size in sizes)
    groups = Counter((size.system, size.group) for size in sizes)
    written: set[object] = set()
    plain = output = 0
    write = read = 0.0
    for size in sizes:
        group = (size.system, size.group)
        alone = systems[size.system] > 1 and size.system >= least
        together = groups[group] > 1 and size.shared > 0 and size.system + size.shared >= least
        # With the task alone marked, the rubric before it is cached once a task.
        marked = [(size.system, size.system if alone else group)] if alone or together else []
        marked += [(size.shared, (group, "shared"))] if together else []
        for tokens, name in marked:
            if name in written:
                read += hits * tokens
                write += (1 - hits) * tokens
            else:
                written.add(name)
                write += tokens
        plain += size.system + size.shared - sum(tokens for tokens, _ in marked)
        plain += size.prompt
        output += size.output
    return Usage(plain, round(write), round(read), output)


def estimate(model: str, sizes: Sequence[Size], batch: bool) -> Estimate:
    """What these questions will cost. Raises ``UserError`` for a model without a price."""
    fewest, most = (usage(model, sizes, hits) for hits in (BATCH_HITS if batch else DIRECT_HITS))
    return Estimate(len(sizes), fewest, prices.cost(model, most, batch), prices.cost(model, fewest, batch), batch)
