"""A model in one piece: an adapter's weights added into the base model's, for servers that know no adapters."""

import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model.base import (
    ADAPTER_FILES,
    BaseRecord,
    Dtype,
    check_adapter,
    file_hash,
    load_model,
    model_folder,
    quiet,
)
from luau_rft.model.prompt import SYSTEM_PROMPT

ADAPTERS = Path("models")
MADE_OF = "merged.json"  # in the folder: what it was made of; no other folder is written over
# The base model's own files, as they are: a tokenizer that is saved anew loses what only other programs read.
TOKENIZER_FILES = (
    "tokenizer*", "*.model", "*.jinja", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
)  # fmt: skip

# What a server samples with where a request does not say. Unset, transformers' server would answer greedily whatever
# temperature a request names, and from the 50 likeliest tokens alone.
DEFAULT_SAMPLING = {"do_sample": True, "temperature": 0.7, "top_p": 1.0, "top_k": 0}

CARD = """\
---
base_model: {base[name]}
base_model_relation: finetune
license: {base[license]}
pipeline_tag: text-generation
library_name: transformers
tags: [roblox, luau, code-generation]
---

# {title}

{summary}

| Made of | |
|---|---|
| Base model | `{base[name]}` at `{base[revision]}`, licence {base[license]} |
| Adapter | {adapter} |
| Weights | {dtype} |

`{made_of}` holds the hashes of all of it. The system prompt of training and evaluation is:

> {system_prompt}

{commands}
"""


def adapter_named(model: str) -> Path | None:
    """The adapter that ``base``, ``sft``, ``rft`` or a folder means; none for the base model.

    >>> print(adapter_named("base"), adapter_named("rft"), adapter_named("./mine"))
    None models/rft mine
    """
    if model == "base":
        return None
    return ADAPTERS / model if model in ("sft", "rft") else Path(model)


def made_of(record: BaseRecord, adapter: Path | None, dtype: Dtype) -> dict[str, Any]:
    """All that determines a merged model, as JSON. Raises ``UserError`` for an adapter that is missing or foreign."""
    if adapter is not None:
        check_adapter(record, adapter)
    return {
        "base": record.model_dump(include={"name", "revision", "license", "files"}),
        "adapter": {file: file_hash(adapter / file) for file in ADAPTER_FILES} if adapter else None,
        "dtype": dtype,
        "sampling": DEFAULT_SAMPLING,
    }


def merge(record: BaseRecord, adapter: Path | None, output: str | Path, dtype: Dtype = "bfloat16") -> None:
    """Write the base model with the adapter in it to a folder that transformers, vLLM and llama.cpp's converter load.

    The weights are added to the base model in ``dtype``, never to a quantised one: an adapter that was trained on NF4
    weights goes into the unquantised base, too. The folder appears whole or not at all, and takes the place of an
    earlier one. Raises ``UserError`` where ``output`` holds something else, or the adapter is missing or belongs to
    another base model.
    """
    output = Path(output)
    _check_writable(output)
    description = made_of(record, adapter, dtype)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as temporary:
        new = Path(temporary) / "new"
        _write(record, adapter, dtype, new)
        tables.write_json(description, new / MADE_OF)
        (new / "README.md").write_text(_card(output.name, adapter, description), encoding="utf-8")
        if output.exists():
            output.rename(Path(temporary) / "old")
        new.rename(output)


def commands(folder: str | Path) -> str:
    """What to do next with a merged model: the commands for llama.cpp and vLLM, a line each below what they are for."""
    folder = Path(folder)
    gguf = ["python", "convert_hf_to_gguf.py", str(folder.absolute()), "--outtype", "auto"]
    serve = ["vllm", "serve", str(folder), "--served-model-name", folder.name]
    return (
        "GGUF for llama.cpp and Ollama, in a clone of https://github.com/ggml-org/llama.cpp:\n"
        f"    {shlex.join([*gguf, '--outfile', f'{folder.absolute()}.gguf'])}\n"
        "vLLM:\n"
        f"    {shlex.join(serve)}"
    )


def _check_writable(output: Path) -> None:
    if not output.exists() or (output / MADE_OF).is_file():
        return
    if not output.is_dir():
        raise UserError(f"{output}: is a file; name a folder for the merged model with --output")
    if any(output.iterdir()):
        raise UserError(
            f"{output}: holds files that no merged model has ({MADE_OF} is missing); name another folder with --output"
        )


def _write(record: BaseRecord, adapter: Path | None, dtype: Dtype, folder: Path) -> None:
    model = load_model(record, dtype, adapter=adapter)
    if adapter is not None:
        model = model.merge_and_unload()
    for name, value in DEFAULT_SAMPLING.items():
        setattr(model.generation_config, name, value)
    with quiet():
        model.save_pretrained(folder)
    source = model_folder(record)
    for file in {file for pattern in TOKENIZER_FILES for file in source.glob(pattern) if file.is_file()}:
        shutil.copyfile(file, folder / file.name)


def _card(name: str, adapter: Path | None, description: dict[str, Any]) -> str:
    base, files = description["base"], description["adapter"]
    if adapter is None:
        title, summary, origin = base["name"], f"The base model {base['name']}.", "none"
    else:
        title = f"{base['name'].split('/')[-1]}, {adapter.name}"
        summary = (
            f"`{base['name']}` with the LoRA adapter `{adapter.name}` merged into its weights. It writes Roblox Luau\n"
            "scripts."
        )
        origin = f"`{adapter.name}`, sha256 of its weights `{files['adapter_model.safetensors']}`"
    usage = f"```bash\nvllm serve {shlex.quote(name)}  # this folder\n```"
    return CARD.format(
        base=base,
        title=title,
        summary=summary,
        adapter=origin,
        dtype=description["dtype"],
        made_of=MADE_OF,
        system_prompt=SYSTEM_PROMPT,
        commands=usage,
    )
