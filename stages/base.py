"""Resolve the base model and record what it is: name, revision, licence, hashes of its files.

dvc repro base
"""

from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.model.base import BaseParams, resolve, write_record


def main() -> None:
    record = resolve(load("base", BaseParams))
    write_record(record, "models/base.json")
    print(f"base: {record.name} ({record.revision}, {record.license})")


if __name__ == "__main__":
    run(main)
