"""Write the report page.

dvc repro report
"""

import os
from pathlib import Path

from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.evaluation.report import render
from luau_rft.evaluation.results import REPORT
from luau_rft.reward import Weights


def main() -> None:
    page = render(weights=load("select.weights", Weights))
    Path(REPORT).parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(f"{REPORT}.{os.getpid()}")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, REPORT)
    print(f"report: {REPORT}, {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
