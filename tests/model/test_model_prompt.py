from types import SimpleNamespace

import pytest

from luau_rft.errors import UserError
from luau_rft.model.prompt import SYSTEM_PROMPT, messages, render

REFUSES_SYSTEM = """{{ bos_token }}{% for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{%- if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]
{%- else %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"""
DROPS_SYSTEM = """{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]
{%- elif message['role'] == 'assistant' %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"""


@pytest.fixture
def with_template(tokenizer):
    original = tokenizer.chat_template

    def use(template):
        tokenizer.chat_template = template
        return tokenizer

    yield use
    tokenizer.chat_template = original


def test_system_prompt_is_the_model_cards():
    assert SYSTEM_PROMPT == (
        "You are an expert Roblox Luau programmer. Generate complete, production-ready Luau scripts. Output only code, "
        "no markdown."
    )
    assert messages("Do it")[0] == {"role": "system", "content": SYSTEM_PROMPT}


def test_renders_in_the_models_own_template(tokenizer):
    head = f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\nA door<|im_end|>\n<|im_start|>assistant\n"
    assert render(tokenizer, "A door") == head
    assert render(tokenizer, "A door", "print(1)") == f"{head}print(1)<|im_end|>\n"


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_folds_the_system_prompt_into_the_user_turn(with_template, template):
    tokenizer = with_template(template)
    head = f"[INST] {SYSTEM_PROMPT}\n\nA door [/INST]"
    assert render(tokenizer, "A door").removeprefix(tokenizer.bos_token) == head
    assert render(tokenizer, "A door", "print(1)").removeprefix(tokenizer.bos_token) == f"{head} print(1)<|im_end|>"


def test_a_model_without_chat_template_is_a_user_error():
    with pytest.raises(UserError, match=r"base\.name: someone/base has no chat template"):
        render(SimpleNamespace(chat_template=None, name_or_path="someone/base"), "A door")
