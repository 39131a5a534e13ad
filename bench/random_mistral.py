"""A model with Mistral 7B's shape and random weights, what training it costs, and what GPUs can do."""

import json
from pathlib import Path
from typing import Any

from luau_rft.model.base import BaseRecord, HubSource
from luau_rft.model.train import IGNORED

# FLOP/s of dense bf16 matrix products with fp32 sums, by a part of the device's name; the first that fits counts.
PEAKS = (
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H200", 989e12),
    ("GH200", 989e12),
    ("B200", 2250e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("L40S", 362e12),
    ("L4", 121e12),
    ("RTX 4090", 165e12),
    ("RTX 3090", 71e12),
)
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] }}[/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] }}{{ eos_token }}"
    "{% else %}{{ raise_exception('there are two roles, user and assistant') }}{% endif %}{% endfor %}"
)


def peak(device: str) -> float | None:
    """FLOP/s of a GPU by its name, None where it is not known.

    >>> peak("NVIDIA A100-SXM4-80GB")
    312000000000000.0
    """
    return next((value for part, value in PEAKS if part in device), None)


def write(folder: Path, **shape: Any) -> BaseRecord:
    """Write the model, laid out like a hub repository; ``shape`` are fields of ``MistralConfig`` that differ.

    Its tokenizer knows bytes, so that texts are about four times as long as to Mistral's own.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, MistralConfig

    layers = shape.pop("layers")
    config = MistralConfig(num_hidden_layers=layers, vocab_size=32768, rope_theta=1e6, sliding_window=None, **shape)
    config.architectures = ["MistralForCausalLM"]
    config.dtype = torch.bfloat16
    with torch.device("meta"):
        state = AutoModelForCausalLM.from_config(config).state_dict()
    folder.mkdir(parents=True)
    config.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    files: dict[str, list[str]] = {}
    for name in state:
        part = name.split(".")[2] if ".layers." in name else "rest"
        files.setdefault(f"model-{part}.safetensors", []).append(name)
    for file, names in files.items():
        weights = {}
        for name in names:
            shaped = torch.empty(state[name].shape, dtype=torch.bfloat16, device=device)
            weights[name] = (shaped.fill_(1) if shaped.ndim == 1 else shaped.normal_(std=0.02)).cpu()
        save_file(weights, folder / file, metadata={"format": "pt"})
    places = {name: file for file, names in files.items() for name in names}
    index = {"metadata": {"total_size": 2 * sum(weight.numel() for weight in state.values())}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return BaseRecord(
        source="hub",
        name="random/mistral",
        license="none",
        revision="random",
        hub=HubSource(folder=str(folder)),
        files={},
    )


def flops(record: BaseRecord, examples: list[dict[str, list[int]]], rank: int) -> float:
    """Floating-point operations of one training step on the examples, with LoRA of this rank on all seven projections.

    A weight costs 2 a token in the forward pass and 2 in the gradient of its input; the adapter's cost 2 more for their
    own gradient. The head counts where something is learned. Attention costs a sequence of n tokens 2 n² in the forward
    pass, a layer and element of the hidden state, as half the pairs are masked, and twice that backward. What gradient
    checkpointing computes again does not count.
    """
    config = json.loads((Path(record.hub.folder) / "config.json").read_text(encoding="utf-8"))
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    size = config.get("head_dim") or hidden // config["num_attention_heads"]
    heads, groups = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    matrices = [(hidden, heads), (hidden, groups), (hidden, groups), (heads, hidden)]
    matrices += [(hidden, inner), (hidden, inner), (inner, hidden)]
    frozen = layers * sum(rows * columns for rows, columns in matrices)
    learned = layers * sum(rank * (rows + columns) for rows, columns in matrices)
    total = 0.0
    for example in examples:
        length = len(example["input_ids"])
        answer = sum(label != IGNORED for label in example["labels"])
        total += (4 * frozen + 6 * learned) * length + 4 * hidden * config["vocab_size"] * answer
        total += 6 * length**2 * heads * layers
    return total


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={symbol: at for at, symbol in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE
    )
