"""How the sequences of a training step lie in memory: end to end in rows, without padding, none of them cut."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from luau_rft.model.launch import processes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

IGNORED = -100  # the label of a token that adds nothing to the loss
ATTENTION = "by_sequence"  # the name under which transformers knows `_attend`
# Layers in which a sequence meets the others of its row in the attention alone.
_LAYER_TYPES = {"full_attention", "sliding_attention"}


def plan(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Places of the sequences by row, no row longer than ``limit`` tokens unless one sequence is.

    >>> plan([500, 90, 400, 30], 600)
    [[0, 1], [2, 3]]
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        row = next((row for row, space in enumerate(free) if space >= lengths[place]), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(limit)
        rows[row].append(place)
        free[row] -= lengths[place]
    return rows


def suits_rows(model: "PreTrainedModel") -> bool:
    """Whether the model can be told where a sequence ends, and trains in one process alone.

    Several processes would have to agree on the number of rows. A mixture of experts has a second loss, a mean over a
    batch.
    """
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or _LAYER_TYPES)
    return (
        config._attn_implementation == "sdpa"
        and model._supports_attention_backend
        and not model._is_stateful
        and layers <= _LAYER_TYPES
        and not getattr(config, "attn_logit_softcapping", None)
        and not hasattr(config, "output_router_logits")
        and processes() == 1
    )


def attend_by_sequence(model: "PreTrainedModel") -> None:
    """Let the model attend within each sequence of a row; it then needs the argument ``lengths`` of ``split``."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)
    model.set_attn_implementation(ATTENTION)


def split(batch: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """One padding-free batch of TRL's collator as rows of at most ``limit`` tokens."""
    import torch

    lengths = batch["cu_seq_lens_q"].diff().tolist()
    parts = {name: batch[name].split(lengths, dim=1) for name in ("input_ids", "labels", "position_ids")}
    for row in plan(lengths, limit):
        tensors = {name: torch.cat([part[place] for place in row], dim=1) for name, part in parts.items()}
        yield tensors | {"lengths": [lengths[place] for place in row]}


def _attend(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: None,
    *,
    lengths: Sequence[int],
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple["torch.Tensor", None]:
    """Attention of a row, one sequence after the other, in the signature that transformers calls."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    groups = query.shape[1] // key.shape[1]
    # On the CPU the kernels' own grouping takes twice the time in the backward pass; on a GPU only those without a mask
    # have one.
    if query.device.type == "cpu" or sliding_window is not None:
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    attended = []
    for q, k, v in zip(*(states.split(lengths, dim=2) for states in (query, key, value)), strict=True):
        length, window = q.shape[2], None
        if sliding_window is not None and length > sliding_window:
            window = torch.ones(length, length, dtype=torch.bool, device=q.device).tril().triu(1 - sliding_window)
        states = scaled_dot_product_attention(
            q, k, v, window, dropout, is_causal=window is None, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
        attended.append(states.transpose(1, 2))
    return torch.cat(attended, dim=1), None


class Rows:
    """Mixed into TRL's ``SFTTrainer`` before its class: takes a padding-free batch row by row.

    Every row's loss is its share of the whole batch's, so a step is the same however the sequences lie.
    """

    row_limit: int | None = None  # tokens; None takes a batch as it comes

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        step = super().training_step
        if self.row_limit is None:
            return step(model, inputs, num_items_in_batch)
        return sum(step(model, row, num_items_in_batch) for row in split(inputs, self.row_limit))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss; on the CPU without the logits of the prompts, which TRL leaves out on a GPU only."""
        if self.row_limit is None or inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        from torch.nn.functional import cross_entropy

        labels = inputs.pop("labels")[0, 1:]
        learned = (labels != IGNORED).nonzero()[:, 0]
        logits = model(**inputs, use_cache=False, logits_to_keep=learned).logits[0]
        return cross_entropy(logits.float(), labels[learned], reduction="sum") / num_items_in_batch
