"""What others think of answers: a reward model's scores, and how far a policy has gone from its reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from app.translation import _
from workers.sampling.answers import NotAnswerable, Prompt
from workers.sampling.shelf import Shelf
from workers.sampling.texts import Reader
from workers.sampling.translating import prompt_ids
from workers.training.checkpoints import CheckpointRefused, Opened
from workers.training.folders import file_sha256
from workers.training.networks import LOGITS_AT_ONCE
from workers.training.tensors import logprobs_of

Said = tuple[tuple[float, ...], dict[str, float]]
"""Of an answer: what each member of a reward model says, in log-odds (the mean of several criteria: in deviations of
the reference's answers), and each head where it has several, in those deviations."""
Ratio = tuple[str, float]
"""A piece of an answer's text, and log π − log π_ref of the tokens that drew it, in nats."""


def rewards(shelf: Shelf, reward: Path, base: Path, conversation: Prompt, answers: Sequence[str]) -> list[Said]:
    """What a reward model says of each answer.

    Answers are read as texts with an end, as PPO has them read; whose network drew them does not matter.

    :raises CheckpointRefused: the model or its base cannot be opened. :raises NotAnswerable: a text is too long for it.
    """
    judge = shelf.take_judge(reward, base)
    said = [judge.opened.answer_ids(text) for text in answers]
    prompt = prompt_ids(judge.opened, conversation, "messages", max(map(len, said)), judge.opened.context)
    scores = judge.network.score([prompt] * len(said), said, judge.opened.pad_id)
    heads = {name: values.tolist() for name, values in scores.heads.items()}
    members = scores.members.T.tolist()
    return [(tuple(row), {name: values[n] for name, values in heads.items()}) for n, row in enumerate(members)]


def ratios(shelf: Shelf, policy: Path, reference: Path, conversation: Prompt, tokens: Sequence[int]) -> list[Ratio]:
    """An answer's text in pieces, a token or a few each, with how much likelier the policy draws it than its reference.

    tokens: as they were drawn, with the end. Both log-probabilities are of the whole distribution at temperature 1;
    where that is what was drawn from, their sum is an estimate of KL(π ‖ π_ref) in nats, else it is a log-ratio only.

    :raises CheckpointRefused: one cannot be opened, or they read other tokens. :raises NotAnswerable: too long.
    """
    try:
        same = file_sha256(policy / "tokenizer.json") == file_sha256(reference / "tokenizer.json")
    except OSError as error:
        sentence = _("tokenizer.json of the checkpoint or of its reference cannot be read: {why}.")
        raise CheckpointRefused(sentence.format(why=error.strerror)) from None
    if not same:
        raise CheckpointRefused(_("Its reference reads other tokens: they cannot be compared."))
    drew = shelf.take(policy)
    prompt = prompt_ids(drew, conversation, "messages", len(tokens), drew.context)
    found = logprobs(drew, prompt, tokens)
    tokenizer, stop_ids = drew.tokenizer, drew.stop_ids
    del drew  # where memory holds one network, the shelf lets it go for the other
    gaps = [mine - theirs for mine, theirs in zip(found, logprobs(shelf.take(reference), prompt, tokens), strict=True)]
    return pieces(tokenizer, stop_ids, tokens, gaps)


@torch.no_grad()
def logprobs(opened: Opened, prompt: Sequence[int], tokens: Sequence[int]) -> list[float]:
    """Log-probability of each token of an answer at temperature 1.

    What the network says of the vocabulary is there once; what is computed from it, for LOGITS_AT_ONCE numbers at a
    time. (By the whole network and not by states and its head: some families change logits behind the head.)
    """
    if len(prompt) + len(tokens) > opened.context:
        raise NotAnswerable(
            "messages", _("A conversation with its answer can hold {most} tokens here.").format(most=opened.context)
        )
    device = opened.network.device
    ids = torch.tensor([[*prompt, *tokens]], device=device)
    logits = opened.network(input_ids=ids, use_cache=False, logits_to_keep=len(tokens) + 1).logits[0]
    rows = max(1, LOGITS_AT_ONCE // logits.shape[-1])
    parts = zip(logits[-len(tokens) - 1 : -1].split(rows), torch.tensor(tokens, device=device).split(rows), strict=True)
    return [value for said, wanted in parts for value in logprobs_of(said, wanted).tolist()]


def pieces(
    tokenizer: PreTrainedTokenizerFast, stop_ids: frozenset[int], tokens: Sequence[int], gaps: Sequence[float]
) -> list[Ratio]:
    """Tokens that draw one character together are one piece. The end, which no text shows, is the empty piece."""
    reader = Reader(tokenizer, stop_ids, ())
    found: list[Ratio] = []
    untold = 0.0
    for token, gap in zip(tokens, gaps, strict=True):
        reader.feed(token)
        text = reader.piece()
        if text or token in stop_ids:
            found.append((text, untold + gap))
            untold = 0.0
        else:
            untold += gap
    rest = reader.rest()
    return [*found, (rest, untold)] if rest or untold else found
