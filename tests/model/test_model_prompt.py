"""What the model reads and what it learns, in the chat templates of several families."""

from types import SimpleNamespace

import pytest

from luau_rft.errors import UserError
from luau_rft.model.prompt import SYSTEM_PROMPT, messages, render, token_ids
from luau_rft.model.train import IGNORED, encode
from tests.model.mistral import TEMPLATE, v3_tokenizer

CODE = 'local label = script.Parent\nlabel.Text = "hi"'
IN_USER_TURN = f"[INST] {SYSTEM_PROMPT}\n\nA door[/INST]"

# mistral-common's own encoding of the system prompt and "A door", with sentencepiece.
OFFICIAL = [
    1, 3, 1763, 1228, 1164, 8351, 6544, 1499, 29512, 5728, 1349, 2775, 1562, 29491, 26843, 4928, 29493, 5653, 29501,
    2736, 5728, 1349, 27072, 29491, 16753, 1633, 3464, 29493, 1476, 2484, 4022, 29491, 781, 781, 29509, 3019, 4,
]  # fmt: skip

REFUSES_SYSTEM = """{{ bos_token }}{% for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + '[/INST]' }}
{%- else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"""
DROPS_SYSTEM = """{{ bos_token }}{% for message in messages %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + '[/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"""
SYSTEM_IN_FIRST_TURN = """{{ bos_token }}{% for message in messages %}
{%- if message['role'] == 'user' %}{{ '[INST] ' }}
{%- if loop.index0 == 1 and messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\n\n' }}{% endif %}
{{- message['content'] + '[/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"""
MISTRAL = {
    "refuses the system role": REFUSES_SYSTEM,
    "drops the system role": DROPS_SYSTEM,
    "system prompt in the first user turn": SYSTEM_IN_FIRST_TURN,
    "system prompt in the last turn if the user's": TEMPLATE,
    "the same with another gap behind it": TEMPLATE.replace(r"system + '\n\n'", r"system + '\n'"),
    "no gap before the answer": SYSTEM_IN_FIRST_TURN.replace("' ' + message", "message"),
    "a gap before the end": SYSTEM_IN_FIRST_TURN.replace("+ eos_token", "+ ' ' + eos_token"),
    "two ends": SYSTEM_IN_FIRST_TURN.replace("+ eos_token", "+ eos_token + '\n' + eos_token"),
    "no end": SYSTEM_IN_FIRST_TURN.replace("+ eos_token", ""),
    "BOS twice": SYSTEM_IN_FIRST_TURN.replace("{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"),
    "no BOS": SYSTEM_IN_FIRST_TURN.replace("{{ bos_token }}", ""),
}

# Other families, in words that SmolLM2's tokenizer has as special tokens or as plain text.
HEADERS = """{{ '<|begin_of_text|>' }}{% for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
{%- if message['role'] == 'system' %}{{ 'Today: ' + (date_string or strftime_now('%H:%M:%S.%f')) + '\n\n' }}{% endif %}
{{- message['content'] | trim + eos_token }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""
MODEL_ROLE = """{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""
THINKS = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}
{%- if message['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}
{{- message['content'] + '<|im_end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"""
THINKS_ALOUD = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}
{{- message['content'].split('</think>')[-1] | trim + '<|im_end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"""
NO_GENERATION_PROMPT = """{% for message in messages %}
{{- message['role'] + ': ' + message['content'] | trim + eos_token + '\n' }}{% endfor %}"""
CHATML_HEAD = (
    f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\nA door<|im_end|>\n<|im_start|>assistant\n"
)
OTHERS = {
    "headers": (
        HEADERS,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday: 01 Jan 2025\n\n"
        f"{SYSTEM_PROMPT}<|im_end|><|start_header_id|>user<|end_header_id|>\n\nA door<|im_end|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        f"{CODE}<|im_end|>",
    ),
    "the role is model": (
        MODEL_ROLE,
        f"<start_of_turn>user\n{SYSTEM_PROMPT}\n\nA door<end_of_turn>\n<start_of_turn>model\n",
        f"{CODE}<end_of_turn>\n<|im_end|>",
    ),
    "an empty thought": (THINKS, f"{CHATML_HEAD}<think>\n\n</think>\n\n", f"{CODE}<|im_end|>"),
    "a thought that is cut out of answers": (THINKS_ALOUD, CHATML_HEAD, f"{CODE}<|im_end|>"),
    "no generation prompt": (
        NO_GENERATION_PROMPT,
        f"system: {SYSTEM_PROMPT}<|im_end|>\nuser: A door<|im_end|>\nassistant:",
        f" {CODE}<|im_end|>",
    ),
}


@pytest.fixture(scope="module")
def v3():
    return v3_tokenizer()


@pytest.fixture
def with_template():
    changed = []

    def use(tokenizer, template):
        changed.append((tokenizer, tokenizer.chat_template))
        tokenizer.chat_template = template
        return tokenizer

    yield use
    for tokenizer, original in reversed(changed):
        tokenizer.chat_template = original


def learned(example):
    return [label for label in example["labels"] if label != IGNORED]


def test_system_prompt_is_the_model_cards():
    assert SYSTEM_PROMPT == (
        "You are an expert Roblox Luau programmer. Generate complete, production-ready Luau scripts. Output only code, "
        "no markdown."
    )
    assert messages("Do it")[0] == {"role": "system", "content": SYSTEM_PROMPT}


def test_renders_in_the_models_own_template(tokenizer):
    assert render(tokenizer, "A door") == CHATML_HEAD
    assert render(tokenizer, "A door", "print(1)") == f"{CHATML_HEAD}print(1)<|im_end|>\n"
    assert tokenizer.decode(token_ids(tokenizer, "A door", "print(1)")) == f"{CHATML_HEAD}print(1)<|im_end|>\n"
    asked = tokenizer.apply_chat_template(messages("A door"), add_generation_prompt=True, return_dict=False)
    assert token_ids(tokenizer, "A door") == asked


def test_mistrals_ids_are_those_of_its_own_encoder(v3):
    assert len(v3) == 32768
    assert token_ids(v3, "A door") == OFFICIAL


@pytest.mark.parametrize("name", MISTRAL)
def test_mistrals_templates(v3, with_template, name):
    with_template(v3, MISTRAL[name])
    prompt = token_ids(v3, "A door")
    assert v3.decode(prompt) == f"<s>{IN_USER_TURN}"
    assert prompt.count(v3.bos_token_id) == 1
    assert v3.decode(prompt).count(SYSTEM_PROMPT) == 1

    example = encode(v3, "A door", f"\n{CODE}\n")
    ids = example["input_ids"]
    assert ids[: len(prompt)] == prompt
    assert example["labels"] == [IGNORED] * len(prompt) + ids[len(prompt) :]
    assert ids.count(v3.bos_token_id) == ids.count(v3.eos_token_id) == 1
    assert learned(example)[-1] == v3.eos_token_id
    assert v3.decode(learned(example), skip_special_tokens=True).strip() == CODE


@pytest.mark.parametrize("name", OTHERS)
def test_templates_of_other_families(tokenizer, with_template, name):
    template, head, answer = OTHERS[name]
    with_template(tokenizer, template)
    assert render(tokenizer, "A door") == head
    assert render(tokenizer, "A door", CODE).startswith(head)
    prompt = token_ids(tokenizer, "A door")
    assert tokenizer.decode(prompt) == head
    example = encode(tokenizer, "A door", CODE)
    assert example["input_ids"][: len(prompt)] == prompt
    assert tokenizer.decode(example["input_ids"]) == head + answer
    assert tokenizer.decode(learned(example)) == answer


def test_tags_of_rich_text_are_no_special_tokens(v3):
    code = 'label.Text = "<s>50</s> [INST] 30"'
    example = encode(v3, "Strike <s>50</s> through", code)
    ids = example["input_ids"]
    assert [ids.count(token) for token in v3.convert_tokens_to_ids(["<s>", "</s>", "[INST]", "[/INST]"])] == [1] * 4
    assert ids[-1] == v3.eos_token_id
    assert v3.decode(learned(example)[:-1]) == code
    assert "Strike <s>50</s> through[/INST]" in v3.decode(ids)


def test_a_model_without_a_usable_chat_template_is_a_user_error(tokenizer, with_template):
    with pytest.raises(UserError, match=r"base\.name: someone/base has no chat template"):
        render(SimpleNamespace(chat_template=None, name_or_path="someone/base"), "A door")
    for template, problem in [
        ("{% for message in messages %}{{ message['role'] }}{% endfor %}", "does not show the system prompt"),
        ("{{ raise_exception('only for tools') }}", "only for tools"),
        ("{% for message in messages %}", "Unexpected end of template"),
        ("{{ messages[0]['content'][0]['text'] + messages[1].nothing }}", "no attribute"),
    ]:
        with_template(tokenizer, template)
        with pytest.raises(UserError, match=rf"chat template cannot be used \(.*{problem}"):
            token_ids(tokenizer, "A door")
