"""Which answers face which, and where tasks stand: by example and by property."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks.rules import Candidate, group_up, handle_of, rank_of, sides_of, similarity

VOCABULARY = ("the", "a", "dog", "cat", "runs", "sleeps", "today", "never", "in", "of", "sun", "rain")
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12)


def anyone(_group: Sequence[Candidate], _whole: bool) -> bool:
    return True


def candidates(texts: list[str], flawed: set[int] | None = None) -> list[Candidate]:
    return [
        Candidate(id=n, text=words, digest=words.encode(), flawed=n in (flawed or set()))
        for n, words in enumerate(texts)
    ]


def test_similarity_is_the_share_of_common_word_triples() -> None:
    # a b c, b c d | b c d, c d e: one of three triples is common
    assert similarity("a b c d", "B, c d e!") == pytest.approx(1 / 3)
    assert similarity("the same words", "The same words.") == 1
    assert similarity("one two three", "four five six") == 0
    assert similarity("Yes", "No") == 0
    assert similarity("", "") == 1
    assert similarity("…", "!") == 0


def test_identical_flawed_and_too_similar_answers_never_face_each_other() -> None:
    long = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10"
    texts = ["same", "same", long, long + " w11", "quite another answer", ""]
    pairs = group_up(candidates(texts, flawed={5}), [anyone], [1], max_similarity=0.8, seed="s")
    together = {frozenset(one.id for one in pair.members) for pair in pairs}
    assert together
    assert frozenset((0, 1)) not in together
    assert frozenset((2, 3)) not in together  # 8 of 9 triples are common
    assert not any(5 in pair for pair in together)
    allowed = group_up(candidates(texts[2:4]), [anyone], [1], max_similarity=0.9, seed="s")
    assert len(allowed) == 1


@given(texts=st.lists(WORDS.map(" ".join), max_size=9), seed=st.text(max_size=5), bound=st.floats(0, 1))
def test_pairs_are_disjoint_and_worth_showing_and_the_same_every_time(
    texts: list[str], seed: str, bound: float
) -> None:
    given = candidates(texts)
    pairs = group_up(given, [anyone], [1], max_similarity=bound, seed=seed)
    assert pairs == group_up(given[::-1], [anyone], [1], max_similarity=bound, seed=seed)
    used = [one.id for pair in pairs for one in pair.members]
    assert len(used) == len(set(used))
    for pair in pairs:
        first, second = pair.members
        assert first.digest != second.digest
        assert similarity(first.text, second.text) <= bound


@given(
    texts=st.lists(WORDS.map(" ".join), max_size=10),
    size=st.integers(1, 5),
    seed=st.text(max_size=5),
    bound=st.floats(0, 1),
)
def test_groups_of_any_size_are_disjoint_and_no_two_in_one_are_alike(
    texts: list[str], size: int, seed: str, bound: float
) -> None:
    given = candidates(texts)
    groups = group_up(given, [anyone], [1], size=size, max_similarity=bound, seed=seed)
    assert groups == group_up(given[::-1], [anyone], [1], size=size, max_similarity=bound, seed=seed)
    used = [one.id for group in groups for one in group.members]
    assert len(used) == len(set(used))
    for group in groups:
        assert len(group.members) == size
        for one, other in combinations(group.members, 2):
            assert one.digest != other.digest
            assert similarity(one.text, other.text) <= bound


def test_as_many_groups_as_different_answers_make() -> None:
    words = ["red fox", "blue hen", "old oak", "new car", "wet day", "hot tea", "big sea", "far hill"]
    assert len(group_up(candidates(words), [anyone], [1], size=4, max_similarity=0.5, seed="s")) == 2
    assert group_up(candidates(words[:3] * 2), [anyone], [1], size=4, max_similarity=1, seed="s") == []


def test_lines_of_a_recipe_are_drawn_by_weight() -> None:
    drawn: Counter[int] = Counter()
    for n in range(400):
        pairs = group_up(
            candidates(["one answer here", "another answer there"]),
            [anyone, anyone],
            [3, 1],
            max_similarity=1,
            seed=str(n),
        )
        drawn[pairs[0].entry] += 1
    assert 260 < drawn[0] < 340  # 300 expected, 4.6 standard deviations to each side


def test_a_line_that_nobody_fits_leaves_its_share_to_the_others() -> None:
    def nobody(_group: Sequence[Candidate], _whole: bool) -> bool:
        return False

    pairs = group_up(candidates(["a b c", "d e f"]), [nobody, anyone], [1000, 1], max_similarity=1, seed="s")
    assert [pair.entry for pair in pairs] == [1]


def test_ranks_are_hashed_inside_bands_and_a_lower_band_comes_first() -> None:
    ranks = [rank_of(str(uuid4()), band=2) for _ in range(200)]
    assert max(ranks) < rank_of("anything", band=3)
    assert ranks != sorted(ranks)
    assert len(set(ranks)) == 200
    assert max(ranks) < 2**63
    with pytest.raises(ValueError):
        rank_of("key", band=16)


@given(key=st.uuids().map(str), k=st.integers(1, 8))
def test_each_side_is_taken_equally_often_over_two_slots(key: str, k: int) -> None:
    for number in range(0, 2 * k, 2):
        assert sides_of(key, number, 2) == sides_of(key, number + 1, 2)[::-1]


def test_which_side_comes_first_is_drawn_for_each_task() -> None:
    first = Counter(sides_of(str(uuid4()), 0, 2)[0] for _ in range(400))
    assert 140 < first[0] < 260  # 200 expected, 6 standard deviations


def test_a_handle_belongs_to_one_slot_and_one_secret() -> None:
    names = {
        handle_of(secret, slot, completion) for secret in (b"a", b"b") for slot in (1, 11) for completion in (1, 11)
    }
    assert len(names) == 8
    assert handle_of(b"a", 1, 2) == handle_of(b"a", 1, 2)
