"""``docs/session.txt`` shows what the commands print."""

import re
from pathlib import Path

from tests.studio.record import record

SESSION = Path(__file__).parents[2] / "docs/session.txt"


def masked(text: str) -> str:
    """Without the ports and the pairing code, which are others each time."""
    text = re.sub(r" --port \d+", "", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    return re.sub(r"\b\d{6}\b", "CODE", text)


def test_the_recorded_session_is_what_happens():
    assert masked(record(0, 0)) == masked(SESSION.read_text(encoding="utf-8"))
