"""What others think of answers: rewards as training scores them, and log-ratios that add up to the divergence."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training import conftest
from tests.workers.sampling.test_graphs import a_card_that_recorded
from workers.sampling import reading
from workers.sampling.answers import Sampling
from workers.sampling.engine import Engine
from workers.sampling.reading import logprobs
from workers.sampling.shelf import Shelf, _weight_bytes
from workers.training.checkpoints import CheckpointRefused, open_checkpoint
from workers.training.networks import Backbone
from workers.training.scoring import load_reward
from workers.training.tensors import logprobs_of

base_folder, reward_folder = conftest.base_folder, conftest.reward_folder
ASKED = [{"role": "user", "content": "what would you do?"}]


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(device="cpu", threads=1)
    yield engine
    await engine.close()


async def test_each_member_says_of_an_answer_what_it_says_in_training(
    engine: Engine,
    base_folder: Path,
    reward_folder: Path,
) -> None:
    opened = open_checkpoint(base_folder)
    reward = load_reward(reward_folder, Backbone(opened.network), opened.weights_sha256)
    prompt, texts = opened.prompt_ids([("user", "what would you do?")]), ["good fine", "bad sad poor"]
    expected = reward.score([prompt] * 2, [opened.answer_ids(text) for text in texts], opened.pad_id).members.T
    found = await engine.rewards(reward_folder, base_folder, ASKED, texts)
    assert [said for said, _heads in found] == [pytest.approx(tuple(row), abs=1e-6) for row in expected.tolist()]
    answered = await engine.complete(base_folder, [ASKED], Sampling(max_tokens=4), 1, [1])
    assert answered[0][0].token_count <= 4  # the base itself answers on, without the reward model's adapters
    with pytest.raises(CheckpointRefused, match="was trained on the base"):
        await engine.rewards(
            reward_folder, conftest.make_checkpoint(reward_folder.parent / "else", seed=3), ASKED, texts
        )


async def test_log_ratios_stand_beside_their_text_and_add_up(engine: Engine, base_folder: Path, tmp_path: Path) -> None:
    policy = conftest.make_checkpoint(tmp_path / "policy", seed=9)
    sampling = Sampling(max_tokens=24)
    for seed in (1, 2):
        (answer,) = (await engine.complete(policy, [ASKED], sampling, 1, [seed], with_tokens=True))[0]
        tokens = [one.id for one in answer.tokens]
        pieces = await engine.ratios(policy, base_folder, ASKED, tokens)
        assert "".join(text for text, _ratio in pieces) == answer.text
        other = await engine.ratios(base_folder, policy, ASKED, tokens)
        total = sum(ratio for _text, ratio in pieces)
        assert total == pytest.approx(-sum(ratio for _text, ratio in other), abs=1e-4)
        assert abs(total) > 0.1
        same = await engine.ratios(policy, policy, ASKED, tokens)
        assert [ratio for _text, ratio in same] == [0.0] * len(same)


async def test_a_reference_of_other_tokens_is_refused(engine: Engine, base_folder: Path, tiny: Path) -> None:
    with pytest.raises(CheckpointRefused, match="other tokens"):
        await engine.ratios(tiny, base_folder, ASKED, [1, 2])
    with pytest.raises(CheckpointRefused, match=r"tokenizer.json of .* cannot be read: No such file"):
        await engine.ratios(base_folder, base_folder.parent / "moved", ASKED, [1, 2])


async def test_the_policy_is_compared_as_it_draws(
    engine: Engine, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """log π is the sampler's own where nothing was cut: the ratio is it less the reference's. What is computed from
    logits is never there for the whole answer."""
    sizes: list[int] = []

    def counted(logits: Tensor, tokens: Tensor) -> Tensor:
        sizes.append(len(logits))
        return logprobs_of(logits, tokens)

    monkeypatch.setattr(reading, "logprobs_of", counted)
    monkeypatch.setattr(reading, "LOGITS_AT_ONCE", 3 * open_checkpoint(base_folder).network.config.vocab_size)
    (answer,) = (await engine.complete(base_folder, [ASKED], Sampling(max_tokens=16), 1, [4], with_tokens=True))[0]
    opened = open_checkpoint(base_folder)
    read = logprobs(opened, opened.prompt_ids([("user", "what would you do?")]), [one.id for one in answer.tokens])
    assert read == pytest.approx([one.logprob for one in answer.tokens], abs=1e-4)
    assert (sum(sizes), max(sizes)) == (len(answer.tokens), 3)


def test_who_judges_goes_before_who_answers(base_folder: Path, reward_folder: Path, tmp_path: Path) -> None:
    """Where a judge and two checkpoints do not fit, the two of a conversation stay once nobody scores."""
    size = _weight_bytes(base_folder, torch.float32)
    shelf = Shelf(device="cpu", dtype=None, memory_budget=int(2.9 * size))
    other = conftest.make_checkpoint(tmp_path / "other", seed=3)
    judge = shelf.take_judge(reward_folder, base_folder)
    first = shelf.take(base_folder)
    assert shelf.take_judge(reward_folder, base_folder) is judge
    second = shelf.take(other)
    assert (shelf.take(base_folder), shelf.take(other)) == (first, second)


def test_what_was_recorded_is_put_away_with_the_weights(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(device="cpu", dtype=None, memory_budget=1 << 30)
    shelf.take(base_folder)
    recorded, left = a_card_that_recorded(monkeypatch)
    shelf.put_away()
    assert (shelf.filling, recorded(), left) == ((0, 0), None, [None])
