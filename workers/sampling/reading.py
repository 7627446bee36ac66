"""What others think of answers: a reward model's scores, and how far a policy has gone from its reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from workers.sampling.answers import NotAnswerable, Prompt
from workers.sampling.shelf import Shelf
from workers.sampling.texts import Reader
from workers.sampling.translating import prompt_ids
from workers.training.checkpoints import CheckpointRefused, Opened
from workers.training.folders import file_sha256
from workers.training.tensors import logprobs_of

Said = tuple[tuple[float, ...], dict[str, float]]
"""Of an answer: what each member of a reward model says, in log-odds, and each head where it has several, in deviations
of the reference's answers."""
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
        names = f"{policy.name} or {reference.name}"
        raise CheckpointRefused(f"tokenizer.json of {names} cannot be read: {error.strerror}.") from None
    if not same:
        raise CheckpointRefused(f"{reference.name} reads other tokens than {policy.name}: they cannot be compared.")
    drew = shelf.take(policy)
    prompt = prompt_ids(drew, conversation, "messages", len(tokens), drew.context)
    found = logprobs(drew, prompt, tokens)
    gaps = [mine - theirs for mine, theirs in zip(found, logprobs(shelf.take(reference), prompt, tokens), strict=True)]
    return pieces(drew, tokens, gaps)


@torch.no_grad()
def logprobs(opened: Opened, prompt: Sequence[int], tokens: Sequence[int]) -> list[float]:
    """Log-probability of each token of an answer at temperature 1."""
    if len(prompt) + len(tokens) > opened.context:
        raise NotAnswerable("messages", f"{opened.folder.name} can hold {opened.context} tokens.")
    device = opened.network.device
    ids = torch.tensor([[*prompt, *tokens]], device=device)
    logits = opened.network(input_ids=ids, use_cache=False, logits_to_keep=len(tokens) + 1).logits[0]
    found: list[float] = logprobs_of(logits[-len(tokens) - 1 : -1], torch.tensor(tokens, device=device)).tolist()
    return found


def pieces(opened: Opened, tokens: Sequence[int], gaps: Sequence[float]) -> list[Ratio]:
    """Tokens that draw one character together are one piece. The end, which no text shows, is the empty piece."""
    reader = Reader(opened.tokenizer, opened.stop_ids, ())
    found: list[Ratio] = []
    untold = 0.0
    for token, gap in zip(tokens, gaps, strict=True):
        reader.feed(token)
        text = reader.piece()
        if text or token in opened.stop_ids:
            found.append((text, untold + gap))
            untold = 0.0
        else:
            untold += gap
    rest = reader.rest()
    return [*found, (rest, untold)] if rest or untold else found
