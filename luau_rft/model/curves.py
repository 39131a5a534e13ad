"""The curves of a training, by DVCLive, and the stop at a loss that is not finite."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from luau_rft.errors import UserError
from luau_rft.model.launch import main_process, whole

LEARNING = ("loss", "learning_rate")  # the same in every run
SPEED = ("tokens_per_second", "memory_gib")  # the peak so far: of the main process, of its GPU if it has one


class Watched:
    """Mixed into a ``Trainer`` before its class: stops before a step to which a micro-batch's loss, or the gradient,
    is not finite, and logs the tokens a second, of all processes, and the memory.

    It reads the device's memory once a step. ``examples`` are the ids and the tokens of what it trains on.
    """

    examples: Sequence[tuple[str, list[int]]] = ()
    field = "train: learning_rate"  # of params.yaml
    _speed: dict[str, float]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        self._batches: list[tuple[Any, Any, Any]] = []
        self._speed, self._step_began = {}, time.monotonic()
        result = super().train(*args, **kwargs)
        trained = [whole(weight.detach()) for weight in self.model.parameters() if weight.requires_grad]
        if not all(weight.isfinite().all() for weight in trained):
            raise UserError(
                f"params.yaml: {self.field}: the adapter's weights are not finite after the last step; lower it"
            )
        return result

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask")
        # Before the step, which empties ``inputs``.
        tokens = ids.new_tensor(ids.numel()) if mask is None else mask.sum()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._batches.append((loss, tokens.to(loss.device), ids))
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        self._check(norm)
        return norm

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        super().log(logs | self._speed if "loss" in logs else logs, *args, **kwargs)

    def _check(self, norm: Any) -> None:
        import torch

        losses, counts, batches = zip(*self._batches, strict=True)
        self._batches = []
        finite = torch.stack(losses).isfinite()
        tokens = torch.stack(counts).sum().double()
        bad = (~finite).sum().to(tokens)
        # With float16 a gradient may overflow; its scaler skips such a step.
        steep = torch.zeros_like(bad) if self.args.fp16 else (~torch.as_tensor(whole(norm)).isfinite()).to(bad)
        n_tokens, n_bad, n_steep = self.accelerator.reduce(torch.stack([tokens, bad, steep])).tolist()
        if n_bad:
            self._stop("loss", [ids for ids, good in zip(batches, finite.tolist(), strict=True) if not good])
        if n_steep:
            self._stop("gradient", batches)
        now = time.monotonic()
        self._speed = {"tokens_per_second": n_tokens / (now - self._step_began), "memory_gib": _peak_memory()}
        self._step_began = now

    def _stop(self, what: str, batches: Sequence[Any]) -> None:
        """Raise a ``UserError``, the same in every process, with the examples of the batches of all of them."""
        from accelerate.utils import gather_object

        names = {name for batch in gather_object([self._ids(batch) for batch in batches]) for name in batch}
        raise UserError(
            f"params.yaml: {self.field}: the {what} is not finite at step {self.state.global_step + 1} of "
            f"{self.state.max_steps}, in what holds the examples {', '.join(sorted(names))}; lower it or, "
            "if it is always the same few, leave them out of the training table's sources"
        )

    def _ids(self, batch: Any) -> list[str]:
        """The examples in a batch, whether its rows are padded or joined."""
        text = "".join(f" {row} " for row in (" ".join(map(str, row)) for row in batch.tolist()))
        return [name for name, tokens in self.examples if f" {' '.join(map(str, tokens))} " in text]


def log_curves(learning: str | Path, speed: str | Path | None, advance: Callable[[int], None]) -> Any:
    """A callback that writes loss and learning rate to one folder, speed and memory to another, where they cannot
    disturb what depends on the first, and moves the progress bar. Only the main process writes.

    A training that goes on from a checkpoint gets the curves up to there as they were.
    """
    from dvclive import Live
    from transformers import TrainerCallback

    class Curves(TrainerCallback):
        def __init__(self) -> None:
            folders = [(folder, names) for folder, names in ((learning, LEARNING), (speed, SPEED)) if folder]
            self.lives = [
                (Live(str(folder), save_dvc_exp=False, dvcyaml=None), names)
                for folder, names in (folders if main_process() else ())
            ]

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for logs in state.log_history:
                self._write(logs, logs["step"])

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            if "loss" in logs:  # the summary at the end has none
                self._write(logs, state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for live, _ in self.lives:
                live.end()

        def _write(self, logs: dict[str, float], step: int) -> None:
            for live, names in self.lives:
                live.step = step
                for name in names:
                    live.log_metric(name, logs[name])
                live.make_summary()
            advance(1)

    return Curves()


def _peak_memory() -> float:
    """In GiB: of this process's tensors on the GPU, or of the whole process where it trains on the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
