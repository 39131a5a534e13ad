"""What the model is asked: the same words in training and in generation, in the model's own chat template."""

from typing import TYPE_CHECKING

from luau_rft.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM_PROMPT = (
    "You are an expert Roblox Luau programmer. Generate complete, production-ready Luau scripts. "
    "Output only code, no markdown."
)

Messages = list[dict[str, str]]


def messages(task: str) -> Messages:
    """The conversation that asks for a script.

    >>> [message["role"] for message in messages("Build a lava brick")]
    ['system', 'user']
    """
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": task}]


def render(tokenizer: "PreTrainedTokenizerBase", task: str, code: str | None = None) -> str:
    """The text that the model reads: up to where its answer begins or, with ``code``, to the answer's end.

    A chat template that knows no system role gets the system prompt at the head of the user's turn. The text carries
    its special tokens: tokenize it with ``add_special_tokens=False``. Raises ``UserError`` where the tokenizer has no
    chat template.
    """
    from jinja2 import TemplateError

    if tokenizer.chat_template is None:
        raise UserError(f"params.yaml: base.name: {tokenizer.name_or_path} has no chat template; use an instruct model")
    answer = [] if code is None else [{"role": "assistant", "content": code}]

    def apply(conversation: Messages) -> str:
        return tokenizer.apply_chat_template(conversation + answer, tokenize=False, add_generation_prompt=code is None)

    asked = messages(task)
    try:
        text = apply(asked)
        if SYSTEM_PROMPT in text:  # some templates drop a role that they do not know
            return text
    except TemplateError:  # others refuse it
        pass
    return apply([{"role": "user", "content": f"{SYSTEM_PROMPT}\n\n{task}"}])
