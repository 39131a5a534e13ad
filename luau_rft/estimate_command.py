"""``luau-rft estimate``: what the paid stages of params.yaml will cost, before any of it is spent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from luau_rft import pools, tables
from luau_rft.config import load
from luau_rft.corpus.collect import CollectParams
from luau_rft.judges import health
from luau_rft.judges.backends import JudgeParams
from luau_rft.judges.base import Request, refusal
from luau_rft.judges.model import KIND, ModelJudge
from luau_rft.judges.questions import too_long
from luau_rft.llm import prices
from luau_rft.llm.base import Answer, Question
from luau_rft.llm.books import Spending
from luau_rft.llm.claude import Claude
from luau_rft.llm.estimate import Size, estimate
from luau_rft.model.generate import SampleParams
from luau_rft.store import Store, default_path
from luau_rft.tasks import TaskCounts, load_tasks
from luau_rft.teacher import claude_gold, claude_label
from luau_rft.teacher.gold import GoldParams
from luau_rft.teacher.label import LabelParams

EXAMPLE_TOKENS = 1500  # of a corpus example, where there is no corpus yet: the model card's 450,000 are of 300 examples
REPAIRED = 0.3  # share of gold answers that are sent back, where they are not there yet; assumed
FINDINGS = 300  # tokens of the findings that come with it; assumed


@dataclass(frozen=True, slots=True)
class Line:
    """A stage's questions: how many in all, those still to ask, and what to say about them."""

    stage: str
    note: str
    model: str = ""
    questions: int = 0
    missing: Sequence[Size] = ()


class Known:
    """What is there already, in the user's store and in tables; makes neither."""

    def __init__(self) -> None:
        self._store = Store() if default_path().exists() else None
        self.spent = self._store.spent() if self._store else 0.0

    def rows(self, kind: str, keys: Sequence[str], table: str, path: str) -> set[str]:
        """The keys of the rows that need no answer."""
        stored = set(self._store.rows(kind, keys)) if self._store else set()
        return stored | (tables.reusable(path, table).keys() & set(keys))

    def answers(self, questions: Iterable[Question]) -> dict[str, Answer]:
        """The answers that are there, by key."""
        return self._store.get(question.key for question in questions) if self._store else {}


def print_estimate() -> None:
    """Print a line a stage, the sum, the budget and what is spent. Raises ``UserError`` for params without sense."""
    spending = load("spending", Spending)
    known = Known()
    least = most = 0.0
    models = set()
    for line in (_label(known), *_gold(known), *_judge(known)):
        told = line.note
        if line.missing:
            expected = estimate(line.model, line.missing, spending.batched(line.questions))
            least, most = least + expected.cheapest, most + expected.dearest
            models.add(line.model)
            told = f"{line.model}: {expected}" + (f" ({line.note})" if line.note else "")
        print(f"{line.stage + ':':17} {told}")
    told = f"${least:.2f}" if f"{least:.2f}" == f"{most:.2f}" else f"${least:.2f} to ${most:.2f}"
    print(f"{'together:':17} {told}; ${known.spent:.2f} of budget_usd {spending.budget_usd:g} are spent")
    if known.spent + most > spending.budget_usd:
        print("The budget may not be enough: a stage stops before the request that would exceed it, and goes on later.")
    if models:
        table = prices.table()
        print(
            f"Prices of {table.date}, from {table.source}. {prices.CHARACTERS_PER_TOKEN} characters are taken for a "
            "token. Of the requests in batches, 98 % to 30 % are taken to find the cache filled."
        )
    for model in sorted(models):
        if assumed := prices.price(model).assumed:
            print(f"{model}: not told by that source, and assumed: {assumed}.")


def _line(stage: str, model: str, questions: Sequence[Question], known: Known, note: str = "") -> Line:
    """A stage whose questions are known word by word."""
    unique = {question.key: question for question in questions}
    there = known.answers(unique.values())
    missing = [Size.of(question) for key, question in unique.items() if key not in there]
    return Line(stage, note if missing else "nothing to ask: $0.00", model, len(unique), missing)


def _label(known: Known) -> Line:
    params = load("label", LabelParams)
    if params.teacher != "claude":
        return Line("label", f"costs nothing (label.teacher: {params.teacher})")
    if not Path("data/corpus.parquet").exists():
        collect = load("collect", CollectParams)
        length = min(EXAMPLE_TOKENS, collect.bounds.max_tokens)
        count = max(1, collect.total_tokens // length)
        empty = {"path": "", "code": ""}
        size = Size.of(claude_label.question(empty, params))
        size = replace(size, prompt=size.prompt + length)
        note = f"no corpus yet: collect.total_tokens in examples of {length} tokens"
        return Line("label", note, params.model, count, [size] * count)
    corpus = tables.read("data/corpus.parquet", "corpus").to_dicts()
    questions = [claude_label.question(row, params) for row in corpus]
    there = known.rows("label", [question.key for question in questions], "labeled", "data/labeled.parquet")
    return _line("label", params.model, [question for question in questions if question.key not in there], known)


def _gold(known: Known) -> Iterator[Line]:
    params = load("gold", GoldParams)
    if params.teacher != "claude":
        yield Line("gold", f"costs nothing (gold.teacher: {params.teacher})")
        return
    tasks = load_tasks("data/tasks/train", load("tasks", TaskCounts).train)
    keys = [claude_gold.key(task, params, params.threshold) for task in tasks]
    there = known.rows("gold", keys, "gold", "data/gold.parquet")
    tasks = [task for task, key in zip(tasks, keys, strict=True) if key not in there]
    questions = [claude_gold.question(task, params) for task in tasks]
    yield _line("gold", params.model, questions, known)

    answers = known.answers(questions)
    repairs = [
        claude_gold.repair(task, params, answers[question.key], params.threshold)
        for task, question in zip(tasks, questions, strict=True)
        if question.key in answers
    ]
    again = _line("gold, sent back", params.model, [question for question in repairs if question], known)
    unasked = [Size.of(question) for question in questions if question.key not in answers]
    count = round(REPAIRED * len(unasked))
    if count:
        sizes = [replace(size, prompt=size.prompt + size.output + FINDINGS) for size in unasked[:count]]
        note = f"{REPAIRED:.0%} of the answers are taken to score below gold.threshold"
        again = Line(again.stage, note, params.model, again.questions + count, [*again.missing, *sizes])
    yield again


def _judge(known: Known) -> Iterator[Line]:
    params = load("judge", JudgeParams)
    samples = load("generate.samples", SampleParams)
    counts = load("tasks", TaskCounts)
    if params.backend != "claude":
        note = "costs nothing" if params.backend == "execution" else f"no price is known of {params.openai.url}"
        for stage in (*(f"judge {pool}" for pool in pools.SPLITS), "health"):
            yield Line(stage, f"{note} (judge.backend: {params.backend})")
        return
    runs = params.processes if params.show_execution else None
    spending = load("spending", Spending)
    judge = ModelJudge("claude", Claude(params.model), spending, "judge", params.answers, params.max_tokens, runs)
    for pool, split in pools.SPLITS.items():
        requests, note = _requests(pool, getattr(samples, split), getattr(counts, split))
        if note:
            sizes = [Size.of(question) for request in requests for question in judge.questions(request)]
            yield Line(f"judge {pool}", note, params.model, len(sizes), sizes)
        else:
            path = f"data/{pool}/judgments.parquet"
            yield _judgments(f"judge {pool}", judge, requests, known, "judgments", path, params.model)
    programs = [specimen.request() for specimen in health.specimens("data/health", "data/tasks/train")]
    requests = [program for program in programs if not program.refusal]
    yield _judgments("health", judge, requests, known, "judge_health", "data/judge_health.parquet", params.model)


def _judgments(
    stage: str, judge: ModelJudge, requests: Sequence[Request], known: Known, table: str, path: str, model: str
) -> Line:
    """A stage whose programs are known. What a run of them showed is not, and not counted."""
    keys = [judge.key(request) for request in requests]
    there = known.rows(KIND, keys, table, path)
    asked = [request for request, key in zip(requests, keys, strict=True) if key not in there]
    questions = [question for request in asked if not too_long(request.code) for question in judge.questions(request)]
    # The stage, too, goes by all its programs and not by those that are missing.
    in_all = {question.key for request in requests for question in judge.questions(request)}
    return replace(_line(stage, model, questions, known), questions=len(in_all))


def _requests(pool: str, samples: int, limit: int | None) -> tuple[list[Request], str]:
    """A pool's candidates that a judge is asked about; before there are any, the tasks' references instead, and a note
    that says so.
    """
    folder = Path("data", pool)
    if not (folder / "candidates.parquet").exists() or not (folder / "scores.parquet").exists():
        tasks = load_tasks(f"data/tasks/{pools.split(pool)}", limit)
        requests = [Request(task, task.reference) for task in tasks for _ in range(samples)]
        return requests, "no candidates yet: the tasks' references in their place, all asked about"
    candidates = pools.candidates(pool).select(*pools.KEY, "code")
    compiles = tables.read(folder / "scores.parquet", "scores").select(*pools.KEY, "compiles")
    tasks_by_id = pools.tasks(pool, set(candidates["task_id"]))
    rows = candidates.join(compiles, on=pools.KEY).iter_rows(named=True)
    requests = [
        Request(tasks_by_id[row["task_id"]], row["code"], refusal(row["code"], row["compiles"])) for row in rows
    ]
    return [request for request in requests if not request.refusal], ""
