"""How many tokens a second our sampling makes, against a model card's loop of one ``model.generate`` a prompt.

    python -m bench.generate            the embedded profile's setting: 4 answers of 256 tokens to 50 tasks, 5 minutes
    python -m bench.generate --quick    2 answers of 64 tokens to 40 tasks, and fewer prompts for the loop

Both sides answer the same prompts, those of the training tasks, with the embedded base model, at T = 0.8 and top-p =
0.95. The loop runs once in bfloat16 and once in float32, and the faster of the two is what ours is compared with.
Counted are the tokens of answers, with the one that ends them, over the wall time with the reading of the prompts. With
a GPU the same runs there.
"""

import argparse
import time
from pathlib import Path

from luau_rft import profile
from luau_rft.config import load
from luau_rft.model.base import BaseParams, BaseRecord, ModelParams, load_model, load_tokenizer, resolve
from luau_rft.model.engines.base import Request, SamplingParams, Setup
from luau_rft.model.engines.transformers import TransformersEngine, TransformersParams
from luau_rft.model.generate import batches, plan
from luau_rft.progress import bar
from luau_rft.tasks import load_tasks

GOAL = 12  # times the tokens a second of the loop
BATCH = 64
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--batch-size", type=int, default=BATCH)
    options = parser.parse_args()
    tasks, samples, new, alone = (40, 2, 64, 3) if options.quick else (50, 4, 256, 4)

    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cores = torch.get_num_threads()
    print(f"on {gpu}" if gpu else f"on the CPU with {cores} threads; no GPU here, which would be used")
    record = base_model()
    sampling = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=new, seed=0)
    setup = Setup(record, ModelParams(dtype="bfloat16", quantization="none"), sampling, load_tokenizer(record))
    engine = TransformersEngine(TransformersParams(batch_size=options.batch_size), setup)
    requests = plan(load_tasks(ROOT / "data/tasks/train")[:tasks], samples, setup, engine)
    spread = requests[:: len(requests) // alone][:alone]
    loop = max(one_by_one(setup, spread, dtype) for dtype in ("bfloat16", "float32"))
    ours = in_batches(engine, batches(requests, options.batch_size, ()), len(requests) * new)
    print(f"ours: {ours:.1f} tokens/s" + ("" if gpu else f", {ours / cores:.1f} a core"))
    print(f"RESULT generate_tokens_per_second {ours:.1f}")
    print(f"RESULT generate_speedup {ours / loop:.1f} >={GOAL}")


def base_model() -> BaseRecord:
    """The embedded profile's, whatever ``params.yaml`` holds."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        params = Path(shutil.copy(ROOT / "params.yaml", folder))
        profile.apply("embedded", params)
        return resolve(load("base", BaseParams, params))


def one_by_one(setup: Setup, requests: list[Request], dtype: str) -> float:
    """Tokens a second of ``model.generate`` on one prompt after the other."""
    import torch

    model = load_model(setup.record, dtype)
    settings = setup.sampling

    def answer(request: Request, new: int) -> int:
        ids = torch.tensor([request.prompt], device=model.device)
        torch.manual_seed(request.seed % 2**31)
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=0,
            max_new_tokens=new,
            pad_token_id=setup.tokenizer.pad_token_id,
        )
        return output.shape[1] - ids.shape[1]

    answer(requests[0], 4)
    start = time.perf_counter()
    tokens = sum(answer(request, settings.max_new_tokens) for request in requests)
    rate = tokens / (time.perf_counter() - start)
    print(f"one prompt at a time, {dtype}: {tokens} tokens, {rate:.1f} tokens/s", flush=True)
    return rate


def in_batches(engine: TransformersEngine, planned: list[list[Request]], total: int) -> float:
    """Tokens a second of our engine; the loading of the weights is not counted, as it is not for the loop."""
    tokens, seconds, count = 0, 0.0, sum(map(len, planned))
    with bar(f"ours: {count} answers in {len(planned)} batches, tokens", total) as advance:
        engine.decoder.model.eval()  # loads it
        start = time.perf_counter()
        for group in engine.answers(planned, advance):
            tokens += sum(answer.tokens for _, answer in group)
        seconds = time.perf_counter() - start
    return tokens / seconds


if __name__ == "__main__":
    main()
