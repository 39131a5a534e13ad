"""Where this project keeps what outlives its checkouts."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where this project keeps downloads and paid answers, outside its own folder; ``LUAU_RFT_CACHE`` moves it."""
    return Path(os.environ.get("LUAU_RFT_CACHE") or Path.home() / ".cache" / "luau_rft")
