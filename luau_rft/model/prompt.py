"""What the model is asked: the same words in training and in generation, in the model's own chat template."""

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from luau_rft.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM_PROMPT = (
    "You are an expert Roblox Luau programmer. Generate complete, production-ready Luau scripts. "
    "Output only code, no markdown."
)

Messages = list[dict[str, str]]

# Answers that differ from their first token on: what comes before is the prompt.
_PROBES = ("return 1", "local answer")
# Known switches of chat templates; one that does not have them ignores them.
_SWITCHES = {
    "enable_thinking": False,  # the answer is code and nothing else
    "date_string": "01 Jan 2025",  # today's date would be another prompt every day
}


def messages(task: str) -> Messages:
    """The conversation that asks for a script.

    >>> [message["role"] for message in messages("Build a lava brick")]
    ['system', 'user']
    """
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": task}]


def conversation(tokenizer: "PreTrainedTokenizerBase", task: str) -> Messages:
    """The messages for a server that renders this tokenizer's chat template itself. Raises like ``render``."""
    return _conversations(tokenizer, task, None)[0][:-1]


def render(tokenizer: "PreTrainedTokenizerBase", task: str, code: str | None = None) -> str:
    """The text that the model reads: up to where its answer begins or, with ``code``, to the answer's end.

    The prompt is how a conversation with an answer begins, so that training and generation agree whatever a template
    makes of a conversation without one. Raises ``UserError`` where the tokenizer has no usable chat template.
    """
    conversations = _conversations(tokenizer, task, code)
    texts = [_apply(tokenizer, conversation, tokenize=False) for conversation in conversations]
    # A blank before the answer is part of the answer's first token.
    return texts[0] if code is not None else _beginning(*texts).rstrip(" ")


def token_ids(tokenizer: "PreTrainedTokenizerBase", task: str, code: str | None = None) -> list[int]:
    """The token ids of what ``render`` shows.

    A tokenizer that puts a token before every text has it there exactly once, whether or not the template writes it.
    Special tokens' names in the task or the code, such as the tag ``</s>`` of Roblox's rich text, are plain text.
    """
    texts = [_apply(tokenizer, conversation, tokenize=True) for conversation in _conversations(tokenizer, task, code)]
    ids = texts[0] if code is not None else _beginning(*texts)
    bos = tokenizer.bos_token_id
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    if bos is not None and ids[:1] != [bos] and tokenizer("")["input_ids"][:1] == [bos]:
        ids = [bos, *ids]
    return ids


def _conversations(tokenizer: "PreTrainedTokenizerBase", task: str, code: str | None) -> list[Messages]:
    """The conversation that ends with ``code``, or one for each probe.

    Where the template does not show the system prompt of its own role, it stands at the head of the user's turn.
    """
    from jinja2 import TemplateError

    where = f"params.yaml: base.name: {tokenizer.name_or_path}"
    if tokenizer.chat_template is None:
        raise UserError(f"{where} has no chat template; use an instruct model")
    answers = _PROBES if code is None else (code,)
    problem = "it does not show the system prompt, the task and the answer once each"
    for ask in (messages, _in_one_turn):
        try:
            text = _apply(tokenizer, [*ask("A door"), _answer(_PROBES[0])], tokenize=False)
        except (TemplateError, TypeError, ValueError) as error:
            problem = str(error)
            continue
        # An answer after it makes some templates drop the system prompt, so it is tried with one.
        if all(text.count(part) == 1 for part in (SYSTEM_PROMPT, "A door", _PROBES[0])):
            return [[*ask(task), _answer(answer)] for answer in answers]
    raise UserError(f"{where}: its chat template cannot be used ({problem}); use another instruct model")


def _beginning(first: Any, second: Any) -> Any:
    """What two texts or two lists begin with alike."""
    return first[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))]


def _in_one_turn(task: str) -> Messages:
    return [{"role": "user", "content": f"{SYSTEM_PROMPT}\n\n{task}"}]


def _answer(code: str) -> dict[str, str]:
    return {"role": "assistant", "content": code}


def _apply(tokenizer: "PreTrainedTokenizerBase", conversation: Messages, tokenize: bool) -> str | list[int]:
    return tokenizer.apply_chat_template(
        conversation, tokenize=tokenize, return_dict=False, sanitize_control_tokens=tokenize, **_SWITCHES
    )
