"""Checkpoints of a training that may be killed at any moment, and going on from the last complete one."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model.base import file_hash
from luau_rft.model.launch import main_process

EVERY_S = 60.0  # between two checkpoints, at least
SAVING_SHARE = 0.05  # of the time, at most, goes into writing them
KEPT = 2  # the last one, and one before it in case a loss of power spoils the last
MANIFEST = "complete.json"  # in a checkpoint: its files' sha256
WEIGHTS = "trainable.safetensors"
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes")


class Checkpoints:
    """The checkpoints of one training, below ``folder``, under a key that stands for all that determines its result.

    A checkpoint is written beside the others and renamed once it is complete. Checkpoints under another key are
    removed: whatever they belong to, its data or params are no longer those of this training.
    """

    def __init__(self, folder: str | Path, key: str) -> None:
        self.name = Path(folder).name
        self.all = Path(folder)
        self.folder = self.all / key
        self.writing = self.folder / "writing"

    def clean(self) -> None:
        """Remove what a killed run left half-written, and the checkpoints of other trainings."""
        shutil.rmtree(self.writing, ignore_errors=True)
        for other in sorted(self.all.glob("*")):
            if other != self.folder:
                size = sum(path.stat().st_size for path in other.rglob("*") if path.is_file())
                shutil.rmtree(other)
                print(f"{self.name}: removed checkpoints made with other data or params ({size / 1e6:.0f} MB)")

    def last(self) -> Path | None:
        """The last checkpoint with all its files as they were written; damaged ones are removed."""
        for folder in reversed(self._complete()):
            if _intact(folder):
                return folder
            print(f"{self.name}: the checkpoint of step {_step(folder)} is damaged and not used")
            shutil.rmtree(folder)
        return None

    def add(self, written: Path) -> None:
        """Complete a checkpoint that lies in ``self.writing``; one checkpoint more than the new one is kept."""
        files = sorted(path for path in written.rglob("*") if path.is_file())
        tables.write_json({path.relative_to(written).as_posix(): file_hash(path) for path in files}, written / MANIFEST)
        written.rename(self.folder / f"step-{written.name.rpartition('-')[2]}")
        for old in self._complete()[:-KEPT]:
            shutil.rmtree(old)

    def remove(self) -> None:
        """Remove every checkpoint: the training has ended."""
        shutil.rmtree(self.all, ignore_errors=True)

    def _complete(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), key=_step)


def key(*parts: Any) -> str:
    """A hash of what determines an adapter: the parts, the libraries' versions and the project's code in use."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:  # optional
            continue
    modules = [module for name, module in sys.modules.items() if name.startswith("luau_rft.")]
    code = sorted(file_hash(Path(module.__file__)) for module in modules if module.__file__)
    return tables.content_hash(parts, versions, code, torch.cuda.is_available())


class Resumable:
    """Mixed into a ``Trainer`` before its class: writes checkpoints by the clock and goes on from the last one.

    In several processes each takes part and the main one completes a checkpoint.
    """

    checkpoints: Checkpoints | None = None
    _saved_step = -1
    _saved_at = _cost_s = 0.0

    def train_on(self, checkpoints: Checkpoints | None) -> None:
        """Train, from the last checkpoint where there is one; without a place for them, from the start."""
        from accelerate.utils import broadcast_object_list

        self.checkpoints = checkpoints
        last: list[Path | None] = [None]
        if checkpoints:
            self.args.output_dir = str(checkpoints.writing)
            if main_process():
                checkpoints.clean()
                last = [checkpoints.last()]
                if last[0]:
                    steps = tables.read_json(last[0] / "trainer_state.json", "max_steps")["max_steps"]
                    print(f"{checkpoints.name}: resuming from step {_step(last[0])} of {steps}")
            if self.args.world_size > 1:
                broadcast_object_list(last)
        self._saved_at = time.monotonic()
        if last[0]:
            self._saved_step = _step(last[0])
        self.train(resume_from_checkpoint=str(last[0]) if last[0] else None)

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        self.control.should_save = self._save_is_due()
        super()._maybe_log_save_evaluate(*args, **kwargs)

    def _save_is_due(self) -> bool:
        if not self.checkpoints or self.state.global_step in (self._saved_step, self.state.max_steps):
            return False
        due = time.monotonic() - self._saved_at >= max(EVERY_S, self._cost_s / SAVING_SHARE)
        if self.args.world_size == 1:
            return due
        import torch
        from accelerate.utils import broadcast

        return bool(broadcast(torch.tensor([due], device=self.args.device)).item())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        from transformers import Trainer

        begin = time.monotonic()
        Trainer._save_checkpoint(self, model, trial)  # past SFTTrainer's, which adds a model card
        self.accelerator.wait_for_everyone()
        if main_process():
            self.checkpoints.add(self.checkpoints.writing / f"checkpoint-{self.state.global_step}")
        self.accelerator.wait_for_everyone()
        self._saved_step, self._saved_at = self.state.global_step, time.monotonic()
        self._cost_s = self._saved_at - begin

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The weights in training, exactly; peft's own way looks for the base model on the hub.

        FSDP's shards are saved by the Trainer beside the optimizer's.
        """
        from safetensors.torch import save_file

        if main_process() and not self.is_fsdp_enabled:
            os.makedirs(output_dir, exist_ok=True)
            save_file(
                {name: weight.detach().contiguous() for name, weight in _trainable(self.model)},
                f"{output_dir}/{WEIGHTS}",
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        import torch
        from safetensors.torch import load_file

        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = load_file(f"{resume_from_checkpoint}/{WEIGHTS}")
        with torch.no_grad():
            for name, weight in _trainable(self.model):
                weight.copy_(saved[name])


def _trainable(model: Any) -> list[tuple[str, Any]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def _intact(folder: Path) -> bool:
    try:
        files = tables.read_json(folder / MANIFEST)
        return all(file_hash(folder / name) == digest for name, digest in files.items())
    except (UserError, OSError):
        return False


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])
