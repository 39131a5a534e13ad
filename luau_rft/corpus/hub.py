"""Source ``hub``: any dataset of the Hugging Face hub with a column of code, or a local folder laid out like one."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic import Field

from luau_rft.config import Params
from luau_rft.corpus.source import SourceFile
from luau_rft.errors import UserError
from luau_rft.progress import bar


class HubColumns(Params):
    """Section ``collect.hub.columns``: what the dataset calls them."""

    code: str
    path: str | None = None
    license: str | None = None


class HubParams(Params):
    """Section ``collect.hub``."""

    dataset: str
    revision: str = "main"
    split: str = "train"
    streaming_limit: int = Field(gt=0)  # rows read at most
    columns: HubColumns
    license: str | None = None  # of every row, where no column tells


def read(params: HubParams) -> Iterator[SourceFile]:
    """The dataset's rows in its own order, streamed.

    Raises ``UserError`` when it cannot be fetched or has no column of a given name.
    """
    if params.columns.license is None and params.license is None:
        raise UserError("params.yaml: collect.hub.license: missing; name a column in columns.license or a licence here")
    with bar("reading rows", params.streaming_limit) as advance:
        for index, row in enumerate(islice(_stream(params), params.streaming_limit)):
            if index == 0:
                _check_columns(params, row)
            yield SourceFile(
                source="hub",
                package=params.dataset,
                path=str(row.get(params.columns.path) or index),
                license=_license(row[params.columns.license]) if params.columns.license else params.license,
                code=row[params.columns.code] or "",
            )
            advance(1)


def _stream(params: HubParams) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    try:
        # The first row is fetched by iterating, not by load_dataset.
        yield from load_dataset(params.dataset, revision=params.revision, split=params.split, streaming=True)
    except Exception as error:  # datasets raises its own, the hub client's, httpx's, pyarrow's and the file system's
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"params.yaml: collect.hub.dataset: {params.dataset} could not be read ({reason}); check its name, split "
            "and the network, log in for a gated dataset, or use another of collect.sources: npm, directory"
        ) from None


def _check_columns(params: HubParams, row: dict[str, Any]) -> None:
    for field, name in params.columns:
        if name is not None and name not in row:
            raise UserError(
                f"params.yaml: collect.hub.columns.{field}: {params.dataset} has no column {name!r}; "
                f"it has {', '.join(sorted(row))}"
            )
    if not isinstance(row[params.columns.code], str):
        raise UserError(
            f"params.yaml: collect.hub.columns.code: {params.columns.code!r} of {params.dataset} is no text"
        )


def _license(value: Any) -> str:
    # Datasets made of repositories list every licence that was detected there.
    if isinstance(value, list):
        return " AND ".join(str(item) for item in value)
    return str(value or "")
