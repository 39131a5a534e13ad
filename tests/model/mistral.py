"""The tokenizer of Mistral-7B-Instruct-v0.3 as its repository holds it, from the file that mistral-common ships."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = "mistralai/Mistral-7B-Instruct-v0.3"
FILE = "mistral_instruct_tokenizer_240323.model.v3"

# What its template does: the system prompt goes into the last turn if that is the user's, else it is lost.
TEMPLATE = """{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}
{%- set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}
{{- bos_token }}{% for turn in turns %}
{%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('user and assistant must take turns') }}{% endif %}
{%- if turn['role'] == 'user' and loop.last and system is defined %}
{{- '[INST] ' + system + '\n\n' + turn['content'] + '[/INST]' }}
{%- elif turn['role'] == 'user' %}{{ '[INST] ' + turn['content'] + '[/INST]' }}
{%- else %}{{ ' ' + turn['content'] | trim + eos_token }}{% endif %}{% endfor %}"""


@cache
def v3_tokenizer() -> "PreTrainedTokenizerBase":
    """Its ids are those of Mistral's own encoder; it begins every text with ``<s>``, as the repository's does."""
    import mistral_common
    from transformers import AddedToken, LlamaTokenizer
    from transformers.convert_slow_tokenizer import import_protobuf
    from transformers.tokenization_utils_base import generate_merges

    model = import_protobuf().ModelProto()
    model.ParseFromString((Path(mistral_common.__file__).parent / "data" / FILE).read_bytes())
    vocabulary = {piece.piece: number for number, piece in enumerate(model.pieces)}
    control = [piece.piece for piece in model.pieces if piece.type == piece.CONTROL]
    return LlamaTokenizer(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, {piece.piece: piece.score for piece in model.pieces}, skip_tokens=control),
        extra_special_tokens=[AddedToken(token, normalized=False, special=True) for token in control],
        chat_template=TEMPLATE,
        add_bos_token=True,
    )
