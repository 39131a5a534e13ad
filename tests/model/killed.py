"""Trainings in processes of their own, which die by SIGKILL at a given moment."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOMENTS = ("in a micro-batch", "while writing", "before the renaming", "before the clean-up")

# One process loads the libraries, the others are forked from it before any of them computes.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["luau_rft.model.train", "trl", "peft", "datasets", "dvclive"])


def train_in_process(
    output: Path, moment: str = "", step: int = 0, every_s: float = 0.0, **arguments: Any
) -> tuple[int, str]:
    """Run ``train`` with the arguments; its exit code, which is -9 if it was killed, and what it printed.

    ``moment`` is one of ``MOMENTS`` or empty; ``step`` counts the steps that are done by then.
    """
    log = output.parent.parent / "log"
    process = _CONTEXT.Process(target=_train, args=(log, output, moment, step, every_s, arguments))
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        raise TimeoutError(log.read_text())
    return process.exitcode, log.read_text()


def _train(log: Path, output: Path, moment: str, step: int, every_s: float, arguments: dict[str, Any]) -> None:
    descriptor = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout.reconfigure(line_buffering=True)
    import torch

    from luau_rft.model import checkpoints
    from luau_rft.model.train import train

    torch.set_num_threads(1)
    checkpoints.EVERY_S, checkpoints.SAVING_SHARE = every_s, 1e9
    die(moment, step)
    train(output=output, **arguments)


def die(moment: str, step: int) -> None:
    """Let this process die by SIGKILL at the moment."""
    from transformers import Trainer

    from luau_rft.model.checkpoints import Checkpoints

    if moment == "in a micro-batch":
        _die(Trainer, "compute_loss_context_manager", lambda self: self.state.global_step == step)
    elif moment == "while writing":  # between the weights and the rest
        _die(Trainer, "_save_scaler", lambda self, _: self.state.global_step == step)
    elif moment == "before the renaming":
        _die(Path, "rename", lambda self, _: self.name == f"checkpoint-{step}")
    elif moment == "before the clean-up":
        _die(Checkpoints, "remove", lambda self: True)


def _die(owner: type, name: str, when: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    def replaced(*arguments: Any, **named: Any) -> Any:
        if when(*arguments, **named):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, name, replaced)
