"""What a user has to do about a provider's errors, told without the key."""

from dataclasses import dataclass, field
from typing import Any

from luau_rft.errors import UserError

SPENT_CODES = (  # error codes of accounts that may not spend any more
    "contract_spend_limit_reached",
    "enforced_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
)
GO_ON = "run the same command again: only what is missing is asked"


@dataclass(frozen=True, slots=True)
class Who:
    """The server that is spoken to, and what a user sets to change that."""

    model: str
    url: str
    key_variable: str  # what holds the key, for messages
    url_setting: str
    secrets: tuple[str, ...] = field(repr=False)  # never told


def explained(error: Exception, who: Who) -> UserError:
    """An error of the anthropic or openai SDK, which has retried what may succeed, as a user's mistake.

    The errors of Python are those of reading a body that is not what the API says.
    """
    status = getattr(error, "status_code", None)
    if isinstance(error, ValueError | AttributeError | TypeError):
        return UserError(
            f"{who.url} answers what is nothing of the API. See that {who.url_setting} is right, and {GO_ON}"
        )
    if status is None:  # no answer at all
        return UserError(
            f"{who.url} cannot be reached or does not answer in time ({type(error).__name__}). See "
            f"that the network and {who.url_setting} are right, and {GO_ON}"
        )
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    details = inner if isinstance(inner, dict) else {}
    code = getattr(error, "error_code", None) or details.get("code") or ""
    message = str(details.get("message") or getattr(error, "message", ""))
    return refused(status, str(details.get("type") or ""), str(code), message, who)


def refused(status: int, kind: str, code: str, message: str, who: Who) -> UserError:
    """A request that the server did not answer: HTTP status (0 inside a batch), type, code and text of its error."""
    said = _without_secrets(f"{f'{status} ' if status else ''}{kind or 'error'}: {message}", who.secrets)
    text = message.lower()
    if (
        status == 402
        or kind == "billing_error"
        or code in (*SPENT_CODES, "insufficient_quota")
        or "credit balance" in text
    ):
        return UserError(
            f"the account behind {who.key_variable} may not spend any more ({said}). Add credit, or "
            f"set {who.key_variable} to another key, and {GO_ON}"
        )
    if status in (401, 403) or kind in ("authentication_error", "permission_error"):
        return UserError(
            f"{who.url} does not accept the key in {who.key_variable} for {who.model} ({said}). Set "
            f"{who.key_variable} to a key that may use it, and {GO_ON}"
        )
    if status == 404 or kind == "not_found_error":
        return UserError(
            f"{who.url} does not know {who.model} ({said}). Correct the model in params.yaml or {who.url_setting}"
        )
    if status in (408, 409, 429) or status >= 500:
        return UserError(f"{who.url} is overloaded or out of order ({said}), after several tries. Wait, and {GO_ON}")
    return UserError(f"{who.url} does not take a request for {who.model} ({said})")


def _without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return " ".join(text.split())[:500]


def usable_key(key: str, variable: str) -> str:
    """The key, where it can be sent at all. Raises ``UserError``."""
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise UserError(f"{variable}: holds a character that no key has, as a space or a line break at its end")
    return key


def attribute(thing: Any, path: str, otherwise: Any = None) -> Any:
    """A nested attribute of what a server said, which need not be there."""
    for name in path.split("."):
        thing = getattr(thing, name, None)
        if thing is None:
            return otherwise
    return thing
