"""Attention for sampling on the CPU: many rows with prompts of unlike length, one new token each.

Reading keys and values is what attention costs there. So nothing is copied when a token is added, rows are padded to
the longest prompt of a group of like rows and not to that of the batch, keys lie transposed as the product reads them,
and the query heads that share a key head are rows of one product.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

NAME = "luau_rft_rows"
# Architectures whose attention is the softmax of scaled products, and all that a row sees is what came before.
ARCHITECTURES = frozenset({"gemma", "llama", "mistral", "qwen2", "qwen3"})
GROUP_COST = 1000  # of one more group, in tokens of padding that would take as long
GROWTH = 128  # tokens for which room is made at once

Prompt = list[tuple["Tensor", "Tensor"]]  # keys and values of each layer, (heads, tokens, size)


def applies(model: "PreTrainedModel") -> bool:
    """Whether ``attend`` computes what the model's own attention does: on the CPU, without windows or biases."""
    config = model.config
    return (
        model.device.type == "cpu"
        and config.model_type in ARCHITECTURES
        and getattr(config, "sliding_window", None) is None
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    )


def install(model: "PreTrainedModel") -> None:
    """Let the model attend through ``attend``. It then takes whole prompts, without padding, or ``rows``."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
    model.set_attn_implementation(NAME)


def attend(
    module: Any,
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    attention_mask: None,
    *,
    scaling: float,
    rows: "Rows | None" = None,
    **others: Any,
) -> tuple["Tensor", None]:
    """Transformers' interface of an attention function; ``rows`` is what was given to the model's ``forward``."""
    if rows is not None:
        return rows.attend(module.layer_idx, query, key, value, scaling), None
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)


class Rows:
    """Keys and values of a batch's rows: their prompts, and the tokens that were added to each since."""

    def __init__(self, prompts: list[Prompt]) -> None:
        """``prompts`` are the rows', the longest first; rows may share one."""
        lengths = [prompt[0][0].shape[1] for prompt in prompts]
        self.added = 0
        self._groups = [_Group(prompts[start:end], start) for start, end in groups(lengths)]
        self._keys = [keys.new_empty(len(prompts), keys.shape[0], keys.shape[2], 0) for keys, _ in prompts[0]]
        self._values = [values.new_empty(len(prompts), values.shape[0], 0, values.shape[2]) for _, values in prompts[0]]
        self._scores: Tensor | None = None

    def add(self) -> None:
        """Make room for one more token in every row; the model's next step fills it."""
        import torch

        if self.added == self._keys[0].shape[3]:
            self._keys = [torch.cat([k, k.new_zeros(*k.shape[:3], GROWTH)], dim=3) for k in self._keys]
            self._values = [torch.cat([v, v.new_zeros(*v.shape[:2], GROWTH, v.shape[3])], dim=2) for v in self._values]
            self._scores = None
        self.added += 1

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but these, which are in ascending order."""
        self._keys = [keys[rows] for keys in self._keys]
        self._values = [values[rows] for values in self._values]
        groups, start = [], 0
        for group in self._groups:
            if kept := [row - group.rows.start for row in rows if group.rows.start <= row < group.rows.stop]:
                group.keep(kept, start)
                groups.append(group)
                start += len(kept)
        self._groups, self._scores = groups, None

    def attend(self, layer: int, query: "Tensor", key: "Tensor", value: "Tensor", scaling: float) -> "Tensor":
        """Attention of every row's new token; the query is (rows, query heads, 1, size), the result (rows, 1, ...)."""
        import torch

        rows, heads, _, size = query.shape
        keys, values = self._keys[layer], self._values[layer]
        keys[..., self.added - 1] = key[:, :, 0]
        values[:, :, self.added - 1] = value[:, :, 0]
        query = query.reshape(rows, key.shape[1], -1, size)
        width = self._groups[0].width  # the longest prompt
        if self._scores is None:  # what a shorter prompt does not reach stays at minus infinity
            self._scores = torch.full((*query.shape[:3], width + keys.shape[3]), float("-inf"))
        scores = self._scores[..., : width + self.added]
        torch.mul(query @ keys[..., : self.added], scaling, out=scores[..., width:])
        for group in self._groups:
            products = query[group.rows] @ group.keys[layer]
            torch.add(group.mask, products, alpha=scaling, out=scores[group.rows, :, :, : group.width])
        weights = scores.softmax(-1).to(value.dtype)
        output = weights[..., width:] @ values[:, :, : self.added]
        for group in self._groups:
            output[group.rows] += weights[group.rows, :, :, : group.width] @ group.values[layer]
        return output.view(rows, 1, heads, -1)


class _Group:
    """Neighbouring rows with prompts of like length, padded to the longest of them."""

    def __init__(self, prompts: list[Prompt], start: int) -> None:
        import torch

        self.rows = slice(start, start + len(prompts))
        self.width = prompts[0][0][0].shape[1]
        lengths = torch.tensor([prompt[0][0].shape[1] for prompt in prompts])
        padding = torch.arange(self.width) >= lengths[:, None]
        self.mask = torch.zeros(padding.shape).masked_fill(padding, float("-inf"))[:, None, None]
        self.keys, self.values = [], []
        for layer in range(len(prompts[0])):
            heads, _, size = prompts[0][layer][0].shape
            keys = prompts[0][layer][0].new_zeros(len(prompts), heads, size, self.width)
            values = prompts[0][layer][1].new_zeros(len(prompts), heads, self.width, prompts[0][layer][1].shape[2])
            for row, prompt in enumerate(prompts):
                keys[row, ..., : lengths[row]] = prompt[layer][0].transpose(1, 2)
                values[row, :, : lengths[row]] = prompt[layer][1]
            self.keys.append(keys)
            self.values.append(values)

    def keep(self, rows: list[int], start: int) -> None:
        self.rows = slice(start, start + len(rows))
        self.mask = self.mask[rows]
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]


def groups(lengths: list[int]) -> list[tuple[int, int]]:
    """Cut lengths in descending order into stretches (first, end) that cost least: each is padded to its first.

    >>> groups([200, 190, 100, 90])
    [(0, 4)]
    >>> groups([700] * 20 + [100] * 20)
    [(0, 20), (20, 40)]
    """
    cheapest: list[tuple[int, int]] = [(0, 0)]  # for each end: the cost up to there, and where its last stretch starts
    for end in range(1, len(lengths) + 1):
        cheapest.append(min((cheapest[i][0] + GROUP_COST + lengths[i] * (end - i), i) for i in range(end)))
    stretches, end = [], len(lengths)
    while end:
        stretches.append((cheapest[end][1], end))
        end = cheapest[end][1]
    return stretches[::-1]
