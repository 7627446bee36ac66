"""The demo's tokenizer: byte-level pairs learned from its corpus, and the template that turns a chat into text.

A chat is `<|begin|>`, then per turn a marker of who speaks, the words, and `<|end|>`. An answer ends with `<|end|>`,
which is the one stop; `<|begin|>` and `<|pad|>` are tokens of their own, so padding never hides where answers end.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from workers.demo.corpus import Turn

VOCABULARY = 2048
PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
MARKERS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL = (PAD, BEGIN, END, *MARKERS.values())

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] | trim }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn merges until the vocabulary is full. All 256 bytes are in it, so nothing is ever unknown."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wrap(tokenizer: Tokenizer, context: int) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers reads it, with its special tokens and the chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        extra_special_tokens=list(MARKERS.values()),
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def id_of(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    assert found is not None, token
    return int(found)


def encode(tokenizer: Tokenizer, conversations: Sequence[Sequence[Turn]]) -> list[list[int]]:
    """Token ids of whole conversations, as the chat template would write them."""
    ids = {token: id_of(tokenizer, token) for token in SPECIAL}
    texts = [turn.text for turns in conversations for turn in turns]
    encoded: Any = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    return [
        [ids[BEGIN], *(token for turn in turns for token in (ids[MARKERS[turn.role]], *next(encoded).ids, ids[END]))]
        for turns in conversations
    ]
