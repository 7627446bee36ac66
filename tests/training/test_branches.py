"""Answers that share their prompt's row are read as if each stood alone, only cheaper."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from app.training.configs import RewardConfig
from workers.training.branches import Row, Sheet, can_branch, rows_of
from workers.training.checkpoints import Opened
from workers.training.folds import most_lengths
from workers.training.networks import Backbone, Layout
from workers.training.scoring import RewardNetwork

CPU = torch.device("cpu")
PROMPT, OTHER = [5, 6, 7], [8, 9]
TEXTS = [(PROMPT, [20, 21]), (PROMPT, [22, 23, 24, 25]), (OTHER, [26]), (PROMPT, [27, 28])]


def network_of(opened: Opened, **fields: object) -> RewardNetwork:
    torch.manual_seed(3)
    config = RewardConfig.model_validate({"depth": 1.0, "members": 3, **fields})
    reward = RewardNetwork(Backbone(opened.network), config, opened.weights_sha256, opened.reply_ids())
    with torch.no_grad():
        for tensor in reward.trained().values():
            tensor.add_(torch.randn_like(tensor) * 0.1)  # adapters begin as nothing
    return reward


@pytest.mark.parametrize("read", ["last", "mean", "next"])
@pytest.mark.parametrize("depth", [1.0, 0.5])
def test_scores_are_those_of_each_answer_alone(opened: Opened, read: str, depth: float) -> None:
    reward = network_of(opened, read=read, depth=depth)
    assert reward.branches
    prompts, answers = [prompt for prompt, _ in TEXTS], [answer for _, answer in TEXTS]
    together = reward.raw_scores(prompts, answers, opened.pad_id)
    alone = [reward.raw_scores([prompt], [answer], opened.pad_id) for prompt, answer in TEXTS]
    torch.testing.assert_close(together, torch.cat(alone, 1), rtol=1e-4, atol=1e-5)
    assert len({round(score, 4) for score in together[0, :, 0].tolist()}) == len(TEXTS)


def test_gradients_are_those_of_texts_a_row_each(opened: Opened) -> None:
    reward = network_of(opened)
    found = []
    for branching in (True, False):
        reward.zero_grad()
        sheet = Sheet.of([rows_of(TEXTS, branching=branching)] * 3, opened.pad_id, CPU)
        reward.block_scores(reward.stem(sheet), sheet).square().sum().backward()
        found.append([tensor.grad.clone() for tensor in reward.trained().values() if tensor.grad is not None])
    assert len(found[0]) == len(reward.trained())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_answers_that_could_see_each_other_would_be_noticed(opened: Opened) -> None:
    """The negative control: the same rows under a plain causal mask."""
    backbone = Backbone(opened.network)
    assert can_branch(backbone)
    whole = backbone.hidden
    backbone.hidden = lambda ids, mask=None, layout=None: whole(ids, layout=replace(layout or Layout(), visible=None))
    assert not can_branch(backbone)


def test_a_window_that_slides_is_not_branched(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    backbone.network.config.sliding_window = 128
    assert not can_branch(backbone)


def test_who_sees_whom_by_hand() -> None:
    """A prompt of two, answers of one and two, and one place of padding."""
    layout = Sheet.of([[Row([4, 5], ([6], [7, 8])), Row([4, 5, 6, 7, 8], ([9],))]], 0, CPU).layout
    assert layout.positions is not None
    assert layout.visible is not None
    assert layout.positions[0].tolist() == [0, 1, 2, 2, 3, 0]
    seen = [[place for place in range(6) if row[place]] for row in layout.visible[0, 0].tolist()]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4], [0, 1, 5]]


def test_rows_of_one_text_each_need_no_mask() -> None:
    sheet = Sheet.of([rows_of([(PROMPT, [1]), (OTHER, [2, 3])], branching=True)], 0, CPU)
    assert sheet.layout == Layout()
    assert sheet.seats.tolist() == [[[0, 3, 4], [1, 2, 4]]]


def test_a_block_with_fewer_rows_goes_round_again() -> None:
    sheet = Sheet.of([[Row([1], ([2],)), Row([3], ([4],))], [Row([5], ([6],))]], 0, CPU)
    assert sheet.ids.tolist() == [[1, 2], [3, 4], [5, 6], [5, 6]]
    assert sheet.seats[1].tolist() == [[2, 1, 2], [2, 1, 2]]


tokens = some.lists(some.integers(3, 9), min_size=1, max_size=6)


@given(some.lists(some.tuples(some.sampled_from([[3], [4, 5, 6]]), tokens), min_size=1, max_size=8))
@settings(deadline=None)
def test_rows_hold_every_text_once_in_order_and_are_not_too_wide(texts: list[tuple[list[int], list[int]]]) -> None:
    rows = rows_of(texts, branching=True)
    assert [(row.prompt, answer) for row in rows for answer in row.answers] == texts
    for row in rows:
        assert len(row.answers) == 1 or len(row) <= 2 * (len(row.prompt) + max(map(len, row.answers)))
    assert all(len(row.answers) == 1 for row in rows_of(texts, branching=False))


# prompts' lengths, and those of the answers to each
LENGTHS = some.lists(some.integers(1, 12), min_size=1, max_size=5)
GROUPS = some.lists(some.tuples(some.integers(1, 9), LENGTHS), min_size=1, max_size=4)


@given(groups=GROUPS)
def test_rows_take_no_more_than_the_budget_reckons_with(groups: list[tuple[int, list[int]]]) -> None:
    """Padding and all, also where a last answer stands alone in a row as wide as that of two."""
    texts = [([number] * prompt, [0] * answer) for number, (prompt, each) in enumerate(groups) for answer in each]
    rows = rows_of(texts, branching=True)
    longest = max(len(prompt) + len(answer) for prompt, answer in texts)
    most = most_lengths(max(len(each) for _, each in groups))
    assert len(rows) * max(map(len, rows)) <= len(groups) * most * longest


def test_three_answers_to_a_short_prompt_take_four_lengths_or_nearly() -> None:
    rows = rows_of([([1], [2] * 9)] * 3, branching=True)
    assert (len(rows), max(map(len, rows))) == (2, 19)  # 38 tokens, and three texts of 10 alone would be 30
    assert most_lengths(3) * 10 == 40
