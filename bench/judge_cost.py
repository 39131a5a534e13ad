"""What Claude's judgments of the model card's 200 candidates cost, compared with asking one by one.

    python -m bench.judge_cost
    python -m bench.judge_cost --model claude-haiku-5-5

Nothing is asked. The lengths are those of the rubric, of the train tasks and of their references as programs, and of an
answer with as many words as the rubric allows; the prices are the dated table's. Naive is a direct request for every
candidate, at the full price and without a cache. Ours are the same requests, word by word, in Message Batches, with
what they begin with marked for the cache as the provider's code marks it: so the judgments are the same.
"""

import argparse
import json
from pathlib import Path

from luau_rft import pools, tables
from luau_rft.judges.base import Request, refusal
from luau_rft.judges.model import ModelJudge
from luau_rft.judges.questions import Verdict
from luau_rft.llm import prices
from luau_rft.llm.base import Usage
from luau_rft.llm.books import Spending
from luau_rft.llm.claude import Claude
from luau_rft.llm.estimate import Size, usage
from luau_rft.tasks import load_tasks

TASKS, SAMPLES = 50, 4  # the model card's
SCENARIOS = {"all_missing": (0.0, 0.50), "90_hits": (0.9, 0.30)}  # share of cache hits, and the goal
WORD = "wrong "  # as long as a word of the rubric's examples with the blank behind it
WORDS = 50  # that the rubric allows the reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="changes nothing: it takes a second")
    parser.add_argument("--model", default="claude-sonnet-5-5")
    model = parser.parse_args().model
    sizes = candidates(model)
    full = naive(model, sizes)
    tell(model, sizes)
    ratios = {name: ours(model, sizes, hits) / full for name, (hits, _) in SCENARIOS.items()}
    print(f"naive: ${full:.3f}; in batches without a cache: {ours(model, sizes, None) / full:.3f} of it")
    for name, (_, goal) in SCENARIOS.items():
        print(f"{name}: {ratios[name]:.3f} of it; the goal {goal:.2f} is reached {_from(goal / ratios[name])}")
    for pool in pools.SPLITS:
        tell_pool(pool, ratios)
    for name, (_, goal) in SCENARIOS.items():
        print(f"RESULT judge_cost_{name} {ratios[name]:.3f} <={goal:.2f}")


def candidates(model: str) -> list[Size]:
    """The tokens of every question, in the words of the judge, and of its answer."""
    spending = Spending(budget_usd=0.0, batch_from=1, concurrency=1, now=False)
    judge = ModelJudge("claude", Claude(model), spending, "judge", 1, 400)
    sizes = []
    for task in load_tasks("data/tasks/train", TASKS):
        [question] = judge.questions(Request(task, task.reference))
        sizes += [Size.of(question, answer_tokens())] * SAMPLES
    return sizes


def answer_tokens() -> int:
    """Tokens of a verdict with the longest reason that the rubric allows."""
    verdict = Verdict(reason=WORD * WORDS, functionality=0.75, correctness=0.75, completeness=0.75)
    return prices.tokens(json.dumps(verdict.model_dump()))


def naive(model: str, sizes: list[Size]) -> float:
    """USD of direct requests, all tokens at their full price."""
    tokens = sum(size.system + size.shared + size.prompt for size in sizes)
    return prices.cost(model, Usage(input=tokens, output=sum(size.output for size in sizes)), batch=False)


def ours(model: str, sizes: list[Size], hits: float | None) -> float:
    """USD of batches, of whose requests the share ``hits`` finds the cache filled; None: nothing is marked for it."""
    if hits is None:
        return naive(model, sizes) * prices.table().batch
    return prices.cost(model, usage(model, sizes, hits), batch=True)


def tell(model: str, sizes: list[Size]) -> None:
    """Print what is compared."""
    parts = ("system", "shared", "prompt", "output")
    means = {part: sum(getattr(size, part) for size in sizes) / len(sizes) for part in parts}
    table, line = prices.table(), prices.price(model)
    print(
        f"{len(sizes)} candidates, tokens of each: rubric {means['system']:.0f}, task {means['shared']:.0f}, program "
        f"{means['prompt']:.0f}, answer {means['output']:.0f} ({prices.CHARACTERS_PER_TOKEN} characters a token)"
    )
    print(
        f"{model}, prices of {table.date}: input ${line.input:g}, output ${line.output:g} a million, batches x "
        f"{table.batch:g}, cache write x {table.write_5m:g}, read x {line.read:g}, from {line.least} tokens on"
        + (f" (assumed: {line.assumed})" if line.assumed else "")
    )


def _from(share: float) -> str:
    return "also when all are asked about" if share >= 1 else f"when at most {share:.1%} are asked about"


def tell_pool(pool: str, ratios: dict[str, float]) -> None:
    """Print which share of a pool's candidates is asked about, where the pool is there, and the ratios with that."""
    scores = Path("data", pool, "scores.parquet")
    if not (scores.exists() and scores.with_name("candidates.parquet").exists()):
        return
    rows = pools.candidates(pool).select(*pools.KEY, "code")
    rows = rows.join(tables.read(scores, "scores").select(*pools.KEY, "compiles"), on=pools.KEY)
    asked = {(task, code) for task, _, code, compiles in rows.iter_rows() if refusal(code, compiles) is None}
    share = len(asked) / len(rows)
    told = ", ".join(f"{name} {share * ratio:.3f}" for name, ratio in ratios.items())
    print(f"data/{pool}: {len(asked)} of {len(rows)} candidates are asked about: {told} of naive")


if __name__ == "__main__":
    main()
