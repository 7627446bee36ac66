"""What the reward network reads of a text."""

from __future__ import annotations

import pytest
import torch

from app.training.configs import RewardConfig
from tests.training.make import make_comparison, make_vote
from workers.training.batches import encode_pair
from workers.training.checkpoints import Opened
from workers.training.networks import Backbone
from workers.training.scoring import RewardNetwork
from workers.training.stems import Stems, item_scores

PROMPTS = [[5, 6, 7], [8, 9], [10, 11, 12, 13]]
ANSWERS = [[20, 21], [22, 23, 24, 25], [26]]


def heads_alone(opened: Opened, read: str) -> RewardNetwork:
    torch.manual_seed(3)
    config = RewardConfig.model_validate({"depth": 0, "members": 3, "read": read})
    return RewardNetwork(Backbone(opened.network), config, opened.weights_sha256, opened.reply_ids())


@pytest.mark.parametrize("read", ["next", "last"])
def test_heads_alone_see_the_state_that_they_would_see_among_all(
    opened: Opened, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One state a text is kept instead of one a token; what is fitted and what is scored stay the same."""
    reward = heads_alone(opened, read)
    assert reward.reads_one
    texts = [("good day", "the sad long day"), ("fine", "so"), ("sure sure sure", "no")]
    said = [make_comparison(n, a, b, [make_vote("a")]) for n, (a, b) in enumerate(texts)]
    blocks = [[encode_pair(record, opened, reward.config)] for record in said]

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        fitted = item_scores(reward, blocks, Stems(reward, opened.pad_id))
        return reward.raw_scores(PROMPTS, ANSWERS, opened.pad_id), fitted.detach()

    one = both()
    monkeypatch.setattr(RewardNetwork, "reads_one", False)
    for alone, among in zip(one, both(), strict=True):
        torch.testing.assert_close(alone, among, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("read", "computed"), [("next", 3), ("last", 3), ("mean", None)])
def test_the_last_layer_is_computed_at_the_end_of_each_text(opened: Opened, read: str, computed: int | None) -> None:
    """By each of two members; a mean over the answer wants all of it."""
    config = RewardConfig.model_validate({"members": 2, "read": read})
    reward = RewardNetwork(Backbone(opened.network), config, opened.weights_sha256, opened.reply_ids())
    layer, seen = reward.backbone.network.base_model.layers[-1], []
    layer.mlp.register_forward_hook(lambda part, given, found: seen.append(found[..., 0].numel()))
    narrowed = reward.raw_scores(PROMPTS, ANSWERS, opened.pad_id)
    longest = max(map(len, reward.rows(list(zip(PROMPTS, ANSWERS, strict=True)))))
    assert seen == [2 * (computed or len(PROMPTS) * longest)]
    reward.backbone.narrow.parts = []
    torch.testing.assert_close(narrowed, reward.raw_scores(PROMPTS, ANSWERS, opened.pad_id), rtol=1e-4, atol=1e-5)


def test_a_mean_over_the_answer_needs_every_state(opened: Opened) -> None:
    assert not heads_alone(opened, "mean").reads_one
