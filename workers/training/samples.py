"""A few answers of policy and reference to the same prompts at each look, for people to read how a policy changes."""

from __future__ import annotations

from collections.abc import Sequence

from workers.training.checkpoints import Opened
from workers.training.judged import Rollout
from workers.training.progress import Samples, tidy

LONGEST = 4000  # characters kept of a text


def samples_of(opened: Opened, words: Sequence[str], now: Rollout, before: Rollout) -> Samples:
    """words: of the first prompts of both rollouts, `now` the policy's and `before` the reference's. kl: nats of that
    very answer, below 0 where the reference would have said it more readily."""

    def text_of(rollout: Rollout, row: int) -> str:
        text = str(opened.tokenizer.decode(rollout.answers[row], skip_special_tokens=True)).strip()
        return text[:LONGEST].replace("\0", "\ufffd")  # JSON in Postgres holds no NUL

    return [
        {
            "prompt": asked[:LONGEST],
            "answer": text_of(now, row),
            "reference": text_of(before, row),
            "score": tidy(float(now.scores.mean[row])),
            "reference_score": tidy(float(before.scores.mean[row])),
            "kl": tidy(float(now.kl[row])),
        }
        for row, asked in enumerate(words)
    ]
