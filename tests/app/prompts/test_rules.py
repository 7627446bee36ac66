import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.projects.rules import Shares
from app.prompts.rooting import OnTwoSides, Stand, newcomer, place
from app.prompts.rules import (
    NEAR,
    bands_of,
    canonical,
    content_hash,
    nearness,
    shingles,
    turn_key,
    turn_of,
    words_of,
)
from app.prompts.tables import Use

TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=200)
WORDS = st.lists(
    st.sampled_from(
        ["fold", "paper", "crane", "boat", "how", "do", "i", "make", "a", "of", "the", "with", "small", "large", "red"]
    ),
    min_size=1,
    max_size=12,
)
LONG = "Please write a short story about a lighthouse keeper who finds a message in a bottle on one cold spring morning"


def test_the_canonical_form_is_sorted_json_without_spaces_in_utf8() -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "text": 'Où ?\n"x"'}]}]
    assert canonical(messages) == b'[{"parts":[{"text":"O\xc3\xb9 ?\\n\\"x\\"","type":"text"}],"role":"user"}]'


@given(TEXTS)
def test_the_canonical_form_reads_back_and_does_not_depend_on_the_order_of_keys(text: str) -> None:
    part, turned = {"type": "text", "text": text}, {"text": text, "type": "text"}
    assert canonical([part]) == canonical([turned])
    assert json.loads(canonical([part])) == [part]
    assert content_hash([part]) == content_hash([turned])


@pytest.mark.parametrize("other", [LONG.upper(), LONG + "!!", f"  {LONG}  ", LONG.replace(" ", "\n"), LONG + " in May"])
def test_a_rewording_is_near(other: str) -> None:
    assert nearness(turn_of(words_of(LONG)), turn_of(words_of(other))) >= NEAR


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I would love a chat. Any thoughts on ponds?", "I would love a chat. Any thoughts on libraries?"),
        ("What is 2+2?", "What is 2+3?"),
        ("你好吗", "你好"),
        (LONG, LONG.replace("lighthouse", "railway").replace("bottle", "drawer").replace("morning", "winter")),
    ],
)
def test_another_subject_is_not_near(one: str, other: str) -> None:
    assert nearness(turn_of(words_of(one)), turn_of(words_of(other))) < NEAR


def test_near_turns_share_a_band_and_far_ones_do_not() -> None:
    chance = random.Random(1)
    vocabulary = [f"word{number}" for number in range(3000)]
    found = crossed = 0
    for _ in range(200):
        words = chance.sample(vocabulary, 60)
        near = words[:-2] + chance.sample(vocabulary, 2)
        far = words[:20] + chance.sample(vocabulary, 40)
        bands = set(bands_of(shingles(words)))
        found += bool(bands & set(bands_of(shingles(near))))
        crossed += bool(bands & set(bands_of(shingles(far))))
    assert found >= 198
    assert crossed <= 10


def test_hashes_are_the_same_on_every_machine() -> None:
    assert bands_of(shingles(["how", "do", "i", "fold"]))[:2] == [2138172796871194884, 4963918343379147348]
    assert turn_key(["hello"]) == "turn:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@settings(max_examples=200)
@given(
    st.lists(st.tuples(WORDS, st.none() | st.sampled_from("abc"), st.none() | st.sampled_from(list(Use))), max_size=25),
    st.integers(1, 24),
)
def test_no_root_and_no_two_near_prompts_stand_on_two_sides(lines: list, cut: int) -> None:
    """In whatever order and however many files they come."""
    shares = Shares(label=34, train=33, heldout=33)
    known: list[Stand] = []
    placed = []
    for some in (lines[:cut], lines[cut:]):
        new = [newcomer(" ".join(words), group, use) for words, group, use in some]
        for one, stand in zip(new, place(new, known, lambda key: Use(shares.draw(key))), strict=True):
            if not isinstance(stand, OnTwoSides):
                placed.append((one, stand))
                known = [*known, stand] if stand not in known else known
    for one, stand in placed:
        assert one.use in (None, stand.use)
        for other, beside in placed:
            if one.key == other.key:
                assert stand is beside
            if set(one.bands) & set(other.bands) and nearness(one.turn, other.turn) >= NEAR:
                assert stand.use == beside.use


def test_the_order_of_lines_in_a_file_does_not_decide_the_use() -> None:
    shares = Shares(label=50, train=0, heldout=50)
    texts = [LONG, LONG + " in May", "Something else entirely, about whales and their songs"]
    uses = []
    for order in (texts, texts[::-1]):
        new = [newcomer(text, None, None) for text in order]
        stands = place(new, [], lambda key: Use(shares.draw(key)))
        uses.append({text: stand.use for text, stand in zip(order, stands, strict=True)})
    assert uses[0] == uses[1]
