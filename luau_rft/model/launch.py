"""Training in several processes, through ``accelerate launch``."""

import ctypes
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from luau_rft.errors import UserError
from luau_rft.progress import bar


def processes() -> int:
    """How many processes train together; 1 where none was launched."""
    return int(os.environ.get("WORLD_SIZE", 1))


def main_process() -> bool:
    """Whether this is the one that writes files and prints."""
    return int(os.environ.get("RANK", 0)) == 0


def launched() -> bool:
    """Whether ``accelerate launch`` started this process, as one of several or the only one."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def sharded() -> bool:
    """Whether the processes share one model out among them, by FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def whole(tensor: Any) -> Any:
    """A tensor of which each process may hold a part, under FSDP, put together; to be called in each."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


@contextmanager
def main_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar in the main process, none in the others."""
    if not main_process():
        yield lambda n=1: None
        return
    with bar(description, total) as advance:
        yield advance


def share(batch_size: int, gradient_accumulation: int) -> tuple[int, int]:
    """The batch size and the batches a step of each process, so that all together see the same sequences in a step.

    Raises ``UserError`` where the processes cannot share them evenly.
    """
    common = math.gcd(gradient_accumulation, processes())
    rest = processes() // common
    if batch_size % rest:
        raise UserError(
            f"params.yaml: train.common.gradient_accumulation: {batch_size} x {gradient_accumulation} sequences a step "
            f"cannot be shared by {processes()} processes; make it a multiple of {rest * gradient_accumulation}, or "
            "change num_processes in the file that train.common.launch names"
        )
    return batch_size // rest, gradient_accumulation // common


def launch(config: str, module: str, *arguments: str) -> None:
    """Run ``python -m module arguments`` in the processes that an accelerate config file describes.

    Raises ``UserError`` for a config that does not fit, and the one that a process met.
    """
    _check(config)
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # A process that fails has said so itself, or is told of below.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    arguments = ("--config_file", config, "--main_process_port", "0", "--module", module, *arguments)
    try:
        launch_command(launch_command_parser().parse_args(arguments))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if isinstance(failure.message, dict):  # recorded by worker(), with the type before the message
            raise UserError(failure.message["message"].removeprefix(f"{UserError.__name__}: ")) from None
        print(f"error: process {failure.local_rank} of the training ended with {failure.exitcode}", file=sys.stderr)
        sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)
    except SignalException as error:
        raise KeyboardInterrupt from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{config}: accelerate does not take it ({reason}); compare with configs/accelerate") from None


@contextmanager
def worker() -> Iterator[None]:
    """Around the work of a launched process: it ends with the one that launched it, and hands a ``UserError`` there."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    _end_with_parent()
    try:
        yield
    except UserError as error:
        get_error_handler().record_exception(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _check(config: str) -> None:
    import torch

    field = "params.yaml: train.common.launch"
    try:
        content = YAML(typ="safe", pure=True).load(Path(config).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{field}: {config}: {error.strerror}; name a file of configs/accelerate, or null for one process"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{config}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("num_processes"), int):
        raise UserError(f"{config}: num_processes is missing; compare with the files in configs/accelerate")
    wanted = content["num_processes"] // content.get("num_machines", 1)
    if not content.get("use_cpu") and wanted > torch.cuda.device_count():
        raise UserError(
            f"{config}: num_processes: {wanted} on this machine, which has {torch.cuda.device_count()} GPUs; lower it, "
            f"or set train.common.launch in params.yaml to null"
        )


def _end_with_parent() -> None:
    # Otherwise the processes of a killed launch would train on, beside the next one.
    try:
        pr_set_pdeathsig = 1  # Linux only
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    except (AttributeError, OSError, TypeError):
        return
