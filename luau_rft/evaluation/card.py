"""The model card of a release: its numbers come from metrics and params, its usage snippet runs as it stands."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from jinja2 import Environment, StrictUndefined

from luau_rft.config import Params
from luau_rft.evaluation import results
from luau_rft.evaluation.metrics import LABELS
from luau_rft.model.base import BaseRecord
from luau_rft.model.prompt import SYSTEM_PROMPT

TEMPLATE = Path(__file__).parent / "card.md.j2"
TAGS = ("roblox", "luau", "code-generation", "peft", "lora")
METHOD_TAGS = {"sft": ("sft",), "rft": ("rft", "reinforcement-fine-tuning")}


class ReleaseParams(Params):
    """Section ``release``."""

    model: Literal["rft", "sft"]


def render(
    model: Literal["rft", "sft"],
    base: BaseRecord,
    params: Mapping[str, Params],
    metrics: Mapping[str, Any],
    comparison: Mapping[str, Any],
    selection: Mapping[str, Any],
    data: Mapping[str, Any],
    corpus: Iterable[Mapping[str, Any]],
) -> str:
    """The card's Markdown with its YAML front matter.

    ``params`` holds the sections ``model`` (as ``settings``), ``train.common``, ``train.lora``, ``train.<model>`` (as
    ``recipe``) and ``select``; ``metrics``, ``comparison``, ``selection`` and ``data`` are the files of those
    names, ``metrics`` that of the model; ``corpus`` has rows of the ``corpus`` table.
    """
    corpus = list(corpus)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    body = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        model=model,
        base=base,
        system_prompt=SYSTEM_PROMPT,
        metrics=metrics,
        selection=selection,
        data=data,
        licenses=licenses(corpus),
        verdict=results.verdict(comparison),
        table=results.markdown_table(comparison, bold=model),
        notes=f"{results.scale_note(metrics)} {results.selection_note(comparison)}",
        **params,
    )
    front = yaml.safe_dump(_front_matter(model, base, metrics, corpus), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{body}"


def licenses(corpus: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """The corpus's licences with the packages under each, both sorted."""
    packages: dict[str, set[str]] = {}
    for row in corpus:
        packages.setdefault(row["license"] or "unknown", set()).add(row["package"])
    return [(license, sorted(packages[license])) for license in sorted(packages)]


def usage_snippet(card: str) -> str:
    """The first Python block of a card: the program that its reader is told to run."""
    return re.search(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)[1]


def _front_matter(
    model: str, base: BaseRecord, metrics: Mapping[str, Any], corpus: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    datasets = sorted({row["package"] for row in corpus if row["source"] == "hub"})
    measured = [
        {"name": label, "type": "custom", "value": metrics[name]}
        for name, label in LABELS.items()
        if metrics[name] is not None
    ]
    result = {
        "task": {"type": "text-generation", "name": "Roblox Luau code generation"},
        "dataset": {"name": "Held-out tasks of this project", "type": "luau-rft-eval"},
        "metrics": measured,
    }
    name = f"roblox-luau-{base.name.split('/')[-1].lower()}-{model}"
    return {
        "license": "apache-2.0",
        "base_model": base.name,
        "base_model_relation": "adapter",
        "tags": [*TAGS, *METHOD_TAGS[model]],
        **({"datasets": datasets} if datasets else {}),
        "language": ["en"],
        "pipeline_tag": "text-generation",
        "library_name": "peft",
        "model-index": [{"name": name, "results": [result]}],
    }
