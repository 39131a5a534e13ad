"""Generation on a Ray cluster: the transformers engine on CPU nodes, Ray Data LLM with vLLM on GPU nodes.

No answer passes through the process that starts the run: it holds the plan, the nodes write parts (``cluster.py``).
"""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field

from luau_rft import cluster, tables
from luau_rft.cache import cache_folder
from luau_rft.errors import UserError
from luau_rft.model.base import (
    ADAPTER_FILES,
    BaseRecord,
    HubSource,
    ModelParams,
    file_hash,
    load_tokenizer,
    model_folder,
)
from luau_rft.model.clean import clean
from luau_rft.model.engines.base import Answer, Request, SamplingParams, Setup, open_engine
from luau_rft.model.engines.transformers import TransformersEngine, TransformersParams
from luau_rft.model.engines.vllm import VllmParams, engine_arguments, sampling_arguments
from luau_rft.model.generate import batches
from luau_rft.progress import bar

if TYPE_CHECKING:
    from ray.data.llm import Processor

SECTION = "generate.ray"
COMPLETE = ".complete"  # a file in a folder of weights, written last
REQUESTS_IN_A_FILE = 4096

# What an answer's part holds; the rest of a candidate's row comes from the plan and from ``clean``.
ANSWERS = {
    column: tables.SCHEMAS["candidates"][column] for column in ("key", "seed", "text", "tokens", "finish_reason")
}


class RayParams(cluster.ClusterParams):
    """Section ``generate.ray``; ``transformers`` and ``vllm`` hold what the sections of these engines hold."""

    engine: Literal["transformers", "vllm"]  # what runs on the nodes
    transformers: TransformersParams
    vllm: VllmParams
    gpu_workers: int = Field(gt=0)  # copies of the model on GPUs, at most, for vllm


class RayEngine:
    """Has the nodes do what the inner engine does on one machine: the same keys and, batch by batch, the same rows."""

    def __init__(self, params: RayParams, setup: Setup) -> None:
        self._params = params
        self._setup = setup
        self._inner = open_engine(params.engine, getattr(params, params.engine), setup)
        self.batch_size = self._inner.batch_size

    def identity(self) -> list[Any]:
        return self._inner.identity()

    def write_table(self, requests: Sequence[Request], output: Path) -> None:
        """Have the table ``output`` hold a row for every request; what it or an earlier run's parts hold is kept."""
        import pyarrow.dataset

        # Sample 0 of every task is in every plan of these tasks and this model: a plan with more samples goes on here.
        plan = tables.content_hash(*sorted(request.key for request in requests if request.index == 0))
        parts = cluster.Folder(self._params.storage, f"generate-{plan}")
        kept: set[str] = set()
        sources = []
        if output.exists():
            kept |= set(tables.read(output, "candidates", ["key"])["key"])
            tables.checked(pl.scan_parquet(output, glob=False).head(0).collect(), output, "candidates")
            sources.append(pyarrow.dataset.dataset(output, format="parquet"))
        if parts.parts():
            for batch in parts.dataset().to_batches(columns=["key"]):
                kept |= set(batch["key"].to_pylist())
        missing = batches(requests, self.batch_size, {request for request in requests if request.key in kept})
        if missing:
            count = sum(map(len, missing))
            work = self._on_cpus if self._params.engine == "transformers" else self._on_gpus
            with (
                cluster.connected(self._params, SECTION),
                bar(f"generate {output.parent.name}: {count} candidates", count) as advance,
            ):
                work(missing, parts, advance)
        if parts.parts():
            sources.append(parts.dataset())
        name = self._setup.adapter.name if self._setup.adapter else "base"
        wanted = pl.DataFrame(
            {
                "task_id": [request.task_id for request in requests],
                "index": [request.index for request in requests],
                "key": [request.key for request in requests],
            }
        ).with_columns(model=pl.lit(name))
        cluster.write_table(sources, wanted, ["key"], output, "candidates", list(ANSWERS), _cleaned)
        parts.remove()

    def _on_cpus(
        self, missing: Sequence[Sequence[Request]], parts: cluster.Folder, advance: Callable[[int], None]
    ) -> None:
        setup = self._setup
        arguments = (
            setup.record,
            setup.model_params,
            setup.sampling,
            *weights(self._params, setup),
            self._params.transformers,
            self._params.cpus,
            self.identity(),
        )
        units = (cluster.Unit(_name(batch), batch, len(batch)) for batch in missing)
        cluster.run(units, answering, arguments, parts, self._params, SECTION, advance)

    def _on_gpus(
        self, missing: Sequence[Sequence[Request]], parts: cluster.Folder, advance: Callable[[int], None]
    ) -> None:
        import ray

        ray.data.DataContext.get_current().enable_progress_bars = False
        parts.make()
        requests = cluster.Folder(self._params.storage, f"{Path(parts.url).name}-requests")
        requests.remove()  # of a run that was killed
        requests.make()
        write_requests(missing, self._setup.sampling, requests)
        asked = ray.data.read_parquet(requests.parts(), filesystem=requests.filesystem)
        answered = processor(self._params, self._setup)(asked)
        # Of the answers nothing comes back but their number.
        written = answered.map_batches(
            write_answers, batch_size=self.batch_size, batch_format="pyarrow", fn_args=(parts.url,), num_cpus=0.1
        )
        for counts in written.iter_batches(batch_size=None):
            advance(int(counts["rows"].sum()))
        requests.remove()


def answering(
    record: BaseRecord,
    model_params: ModelParams,
    sampling: SamplingParams,
    base: str,
    adapter: str | None,
    params: TransformersParams,
    threads: int,
    identity: list[Any],
) -> cluster.Work:
    """On a node: the model of a run, and what answers a batch of requests with it.

    Raises ``UserError`` where the node would not make the rows that the plan's keys stand for.
    """
    import torch

    torch.set_num_threads(threads)
    here = record.model_copy(update={"source": "hub", "hub": HubSource(folder=str(fetched(base)))})
    setup = Setup(here, model_params, sampling, load_tokenizer(here), fetched(adapter) if adapter else None)
    engine = TransformersEngine(params, setup)
    if engine.identity() != identity:
        raise UserError(
            f"params.yaml: {SECTION}: node {platform.node()} would answer as {engine.identity()}, the machine that "
            f"starts the run as {identity}; use nodes with the same kind of CPU, or set model.dtype to float32"
        )

    def answer(batch: Sequence[Request]) -> pl.DataFrame:
        return _part(pair for group in engine.answers([batch], lambda _: None) for pair in group)

    return answer


def processor(params: RayParams, setup: Setup) -> "Processor":
    """Ray Data LLM's vLLM processor: from the rows of ``write_requests`` to the rows of a part."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    base, adapter = weights(params, setup)
    arguments = engine_arguments(params.vllm, setup)
    del arguments["model"]
    remote = adapter is not None and "://" in adapter
    config = vLLMEngineProcessorConfig(
        model_source=base,
        engine_kwargs=arguments,
        batch_size=params.vllm.batch_size,
        concurrency=(1, params.gpu_workers),
        # Prompts arrive as the plan's own tokens; vLLM makes the text, for it looks for stop strings.
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        dynamic_lora_loading_path=adapter.rpartition("/")[0] if remote else None,
    )
    # A row that names another model than the base asks for the adapter of this name, or in this local folder.
    model = base if adapter is None else adapter.rpartition("/")[2] if remote else adapter
    ends = _stop_ids(setup)
    return build_processor(
        config,
        preprocess=lambda row: asked_row(row, model, setup.sampling),
        postprocess=lambda row: answer_row(row, ends, setup.sampling),
    )


def write_requests(missing: Iterable[Sequence[Request]], sampling: SamplingParams, folder: cluster.Folder) -> None:
    """The requests as parquet files, which the nodes read."""
    schema = {"key": pl.String, "seed": pl.Int64, "prompt": pl.List(pl.Int64)}
    requests = [request for batch in missing for request in batch]
    for start in range(0, len(requests), REQUESTS_IN_A_FILE):
        some = requests[start : start + REQUESTS_IN_A_FILE]
        rows = [(request.key, request.seed, request.prompt) for request in some]
        folder.write(pl.DataFrame(rows, schema=schema, orient="row"), _name(some))


def asked_row(row: dict[str, Any], model: str, sampling: SamplingParams) -> dict[str, Any]:
    """What Ray Data LLM's engine stage reads."""
    request = Request("", 0, row["key"], int(row["seed"]), "", ())
    arguments = sampling_arguments(sampling, request)
    # The stop string stays in the text, because a stage's output does not say why an answer ended.
    arguments |= {"stop": sampling.stop or None, "include_stop_str_in_output": True}
    return {
        "key": row["key"],
        "seed": row["seed"],
        "tokenized_prompt": row["prompt"],
        "sampling_params": arguments,
        "model": model,
    }


def answer_row(row: dict[str, Any], ends: Sequence[int], sampling: SamplingParams) -> dict[str, Any]:
    """A row of a part from what Ray Data LLM's engine stage wrote."""
    text, tokens = row["generated_text"], int(row["num_generated_tokens"])
    places = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
    stopped = bool(places) or (tokens > 0 and int(row["generated_tokens"][-1]) in ends)
    return {
        "key": row["key"],
        "seed": int(row["seed"]),
        "text": text[: min(places)] if places else text,
        "tokens": tokens,
        "finish_reason": "stop" if stopped else "length",
    }


def write_answers(rows: Any, url: str) -> dict[str, list[int]]:
    """On a node: write some answers as a part and say how many they are."""
    frame = pl.from_arrow(rows).select(pl.col(name).cast(dtype) for name, dtype in ANSWERS.items())
    cluster.Folder(url).write(frame, tables.content_hash(*frame["key"].sort()))
    return {"rows": [len(frame)]}


def fetched(url: str) -> Path:
    """On a node: the folder of weights, copied into the cache where it is not in a file system."""
    if "://" not in url:
        return Path(url)
    source = cluster.Folder(url)
    folder = cache_folder() / "ray" / tables.content_hash(url) / Path(source.root).name
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            new = Path(temporary) / "weights"
            new.mkdir()
            for path in source.filesystem.ls(source.root, detail=False):
                source.filesystem.get_file(path, str(new / Path(path).name))
            try:
                new.rename(folder)
            except OSError:
                if not folder.exists():  # otherwise another worker of this node was faster
                    raise
    return folder


def weights(params: RayParams, setup: Setup) -> tuple[str, str | None]:
    """Where nodes find the base model and the adapter: in the storage, by their hashes, put there once."""
    base = model_folder(setup.record)
    files = [path for path in sorted(base.iterdir()) if path.is_file()]
    adapter = setup.adapter
    if params.address is None:  # the only node is this machine
        return str(base.absolute()), str(adapter.absolute()) if adapter else None
    placed = _placed(cluster.Folder(params.storage, "models", setup.record.identity, "base"), files)
    if adapter is None:
        return placed, None
    files = [adapter / name for name in ADAPTER_FILES]
    folder = cluster.Folder(params.storage, "models", tables.content_hash(*map(file_hash, files)), adapter.name)
    return placed, _placed(folder, files)


def _placed(folder: cluster.Folder, files: Sequence[Path]) -> str:
    if not folder.filesystem.exists(f"{folder.root}/{COMPLETE}"):
        folder.make()
        for path in files:
            target = f"{folder.root}/{path.name}"
            if folder.is_local:
                shutil.copyfile(path, f"{target}.{os.getpid()}")
                os.replace(f"{target}.{os.getpid()}", target)
            else:
                folder.filesystem.put_file(str(path), target)
        folder.filesystem.pipe_file(f"{folder.root}/{COMPLETE}", b"")
    return folder.url


def _name(batch: Sequence[Request]) -> str:
    return tables.content_hash(*(request.key for request in batch))


def _part(answers: Iterable[tuple[Request, Answer]]) -> pl.DataFrame:
    rows = [(r.key, r.seed, a.text, a.tokens, a.finish_reason) for r, a in answers]
    return pl.DataFrame(rows, schema=ANSWERS, orient="row")


def _cleaned(rows: pl.DataFrame) -> pl.DataFrame:
    answers = [clean(text) for text in rows["text"]]
    return rows.with_columns(
        pl.Series("code", [code for code, _ in answers], pl.String),
        pl.Series("cleaned", [cleaned for _, cleaned in answers], pl.Boolean),
    )


def _stop_ids(setup: Setup) -> list[int]:
    from transformers import GenerationConfig

    try:
        ends = GenerationConfig.from_pretrained(model_folder(setup.record), local_files_only=True).eos_token_id
    except OSError:  # a repository without one
        ends = None
    several = ends if isinstance(ends, list) else [] if ends is None else [ends]
    return sorted({setup.tokenizer.eos_token_id, *several})
