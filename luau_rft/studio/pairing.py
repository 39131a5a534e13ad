"""Who may use the bridge: a six-digit code leads to a token for a place, of which only the hash is kept."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from luau_rft.studio.database import Database
from luau_rft.studio.guard import Refused

CODE_S = 600.0  # a code's life
ATTEMPTS = 5  # wrong ones that a code survives, less one
PAUSE_S = 30.0  # after a code is lost to wrong attempts; doubles each time
MAX_PAUSE_S = 3600.0


class Tokens:
    """The tokens of places, one valid token a place."""

    def __init__(self, database: Database) -> None:
        self._database = database
        rows = database.execute("SELECT hash, place, revoked FROM tokens")
        self._known = {row["hash"]: (row["place"], bool(row["revoked"])) for row in rows}

    def grant(self, place: str, name: str) -> str:
        """A new token; the place's old ones are revoked."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO places (place, name) VALUES (?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
                (place, name),
            )
            self.revoke(place)
            self._database.execute("INSERT INTO tokens (hash, place) VALUES (?, ?)", (_hash(token), place))
        self._known[_hash(token)] = (place, False)
        return token

    def revoke(self, place: str) -> None:
        self._database.execute("UPDATE tokens SET revoked = 1 WHERE place = ?", (place,))
        self._known = {hash_: (of, revoked or of == place) for hash_, (of, revoked) in self._known.items()}

    def place_of(self, token: str) -> str:
        """The place that the token was given to. Raises ``Refused`` (401) with the reason."""
        given = _hash(token)
        found = None
        for hash_, entry in self._known.items():  # all of them, whichever it is, in constant time
            if hmac.compare_digest(hash_, given):
                found = entry
        if found is None:
            raise Refused(401, "unknown-token", "this bridge does not know the token; pair again")
        place, revoked = found
        if revoked:
            raise Refused(401, "revoked-token", "the token was revoked; pair again")
        return place


@dataclass
class _Code:
    digits: str
    expires: float
    wrong: int = 0


class Pairing:
    """One code at a time. ``say`` shows it to the user; ``now`` is a clock in seconds."""

    def __init__(self, tokens: Tokens, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._say = say
        self._now = now
        self._code: _Code | None = None
        self._pause = PAUSE_S
        self._paused_until = 0.0

    def show(self, name: str | None = None) -> None:
        """Show a code, the valid one or a new one; ``name``: of the place that asks. Raises ``Refused`` in a pause."""
        self._check_pause()
        if self._code is None or self._now() >= self._code.expires:
            self._code = _Code(f"{secrets.randbelow(10**6):06d}", self._now() + CODE_S)
        asks = f"«{name}» wants to pair. " if name else ""
        self._say(f"{asks}Pairing code: {self._code.digits} (for {CODE_S / 60:.0f} minutes, for one place)")

    def pair(self, place: str, name: str, digits: str) -> str:
        """The token for the code. Raises ``Refused`` for a wrong one, and where there is none."""
        self._check_pause()
        if self._code is None or self._now() >= self._code.expires:
            raise Refused(403, "no-code", "no code is valid; ask for one and read it on the bridge's terminal")
        if not hmac.compare_digest(self._code.digits, digits):
            self._code.wrong += 1
            if self._code.wrong >= ATTEMPTS:
                self._code = None
                self._paused_until = self._now() + self._pause
                self._say(f"{ATTEMPTS} wrong pairing codes: the code is void, pairing pauses for {self._pause:.0f} s")
                self._pause = min(self._pause * 2, MAX_PAUSE_S)
            raise Refused(403, "wrong-code", "this is not the code on the bridge's terminal")
        self._code = None
        self._pause = PAUSE_S
        return self._tokens.grant(place, name)

    def _check_pause(self) -> None:
        left = self._paused_until - self._now()
        if left > 0:
            raise Refused(429, "too-many", "too many wrong codes; wait", retry_after=left)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
