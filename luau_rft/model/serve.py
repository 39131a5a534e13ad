"""An OpenAI-compatible server that answers under the names ``base``, ``sft`` and ``rft``.

vLLM where it is installed, with the adapters beside the base model. Otherwise transformers' own server, which knows no
adapters: each model is merged and kept in a folder laid out like the hub's cache, where that server finds and lists it
under its name, and nothing else.
"""

import importlib.util
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import UserError
from luau_rft.model.base import BaseRecord, Dtype, ModelParams, check_adapter, model_folder, read_record
from luau_rft.model.engines.vllm import max_lora_rank
from luau_rft.model.merge import adapter_named, made_of, merge

MERGED = Path(".cache/merged")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SERVER_PACKAGES = ("fastapi", "uvicorn", "openai")  # what transformers' server imports besides transformers


def serve(models: Sequence[str], host: str, port: int, only_print: bool) -> None:
    """Become the server, or print its shell command. ``models``: base, sft, rft, or adapters' folders.

    The server takes this process's place, so that a signal reaches it and none outlives its starter. Raises
    ``UserError`` where an adapter is missing, or neither server is installed.
    """
    record = read_record()
    adapters = _by_name(models)
    for adapter in filter(None, adapters.values()):
        check_adapter(record, adapter)
    at = ["--host", host, "--port", str(port)]
    environment: dict[str, str] = {}
    if vllm := _program("vllm"):
        reason = f"vLLM ({vllm})"
        command = [vllm, *vllm_arguments(record, adapters), *at]
    else:
        reason = "transformers' own server with merged models, because vLLM is not installed"
        command = [_transformers(), "serve", *at, "--model-timeout", "-1"]  # never unloads an idle model
        environment = keep_merged(record, adapters, load("model", ModelParams).dtype)
    print(f"serve: {', '.join(adapters)} at http://{host}:{port}/v1 through {reason}", file=sys.stderr, flush=True)
    if host not in LOOPBACK:
        also = "" if vllm else ", and a request may name any folder of this machine that holds a model"
        print(f"serve: whoever reaches {host}:{port} is answered without a key{also}", file=sys.stderr, flush=True)
    if only_print:
        print(" ".join([f"{name}={shlex.quote(value)}" for name, value in environment.items()] + [shlex.join(command)]))
    else:
        os.execvpe(command[0], command, os.environ | environment)


def vllm_arguments(record: BaseRecord, adapters: Mapping[str, Path | None]) -> list[str]:
    """``serve`` and what follows it on vLLM's command line, up to the address.

    The base model answers under the name ``base``. Raises ``UserError`` for a rank beyond what vLLM takes.
    """
    if record.source == "hub" and record.hub.folder is None:
        arguments = ["serve", record.name, "--revision", record.revision, "--tokenizer-revision", record.revision]
    else:
        arguments = ["serve", str(model_folder(record))]
    arguments += ["--served-model-name", "base"]
    modules = {name: adapter for name, adapter in adapters.items() if adapter is not None}
    if modules:
        arguments += ["--enable-lora", "--lora-modules", *(f"{name}={folder}" for name, folder in modules.items())]
        arguments += ["--max-lora-rank", str(max_lora_rank(modules.values())), "--max-loras", str(len(modules))]
    return arguments


def keep_merged(record: BaseRecord, adapters: Mapping[str, Path | None], dtype: Dtype) -> dict[str, str]:
    """Merge what is not merged yet into ``.cache/merged``; the environment that lets transformers find it.

    Only the newest weights of a name are kept. What was merged for other servers stays, but without the reference by
    which this one would list it and answer under its name.
    """
    for other in MERGED.glob("models--*"):
        if other.name.removeprefix("models--") not in adapters:
            (other / "refs" / "main").unlink(missing_ok=True)
    for name, adapter in adapters.items():
        repository = MERGED / f"models--{name}"
        revision = tables.content_hash(made_of(record, adapter, dtype))
        snapshots = repository / "snapshots"
        if not (snapshots / revision).is_dir():
            print(f"serve: merging {name}, once", file=sys.stderr, flush=True)
            merge(record, adapter, snapshots / revision, dtype)
        (repository / "refs").mkdir(exist_ok=True)
        _replace(repository / "refs" / "main", revision)
        for old in snapshots.iterdir():
            if old.name != revision:
                shutil.rmtree(old, ignore_errors=True)
    return {"HF_HUB_CACHE": str(MERGED.absolute()), "HF_HUB_OFFLINE": "1"}


def _by_name(models: Sequence[str]) -> dict[str, Path | None]:
    """The adapters by the names that clients ask for."""
    adapters: dict[str, Path | None] = {}
    for model in models:
        name = Path(model).name
        if not re.fullmatch(r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*", name):
            raise UserError(f"--model {model}: its name is what clients ask for, and {name!r} cannot be; rename it")
        if name in adapters:
            raise UserError(f"--model {model}: {name} is served already; rename one of the two folders")
        adapters[name] = adapter_named(model)
    return adapters


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)


def _transformers() -> str:
    missing = [package for package in SERVER_PACKAGES if importlib.util.find_spec(package) is None]
    program = _program("transformers")
    if missing or program is None:
        raise UserError(
            "serve: neither vLLM nor what transformers' own server needs is installed "
            f"({', '.join(missing) or 'the command transformers'} is missing); run `pip install 'luau_rft[serve]'`, or "
            "install vLLM in an environment of its own and put its `vllm` on the PATH"
        )
    return program


def _program(name: str) -> str | None:
    """A command beside this Python, or on the PATH: its bare name where the shell finds the same."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=places)
    return name if found is not None and found == shutil.which(name) else found
