import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sampling.texts import Reader, cut, decode, settled

END = 1
TEXTS = st.text(alphabet="abc the☔ü🎉", max_size=20)


def tokens_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@given(TEXTS)
def test_text_survives_the_way_through_tokens(tokenizer, text):
    assert decode(tokenizer, [*tokens_of(tokenizer, text), END], {END}) == text


def test_special_tokens_are_not_text(tokenizer):
    middle = tokenizer.convert_tokens_to_ids(["<user>", "<pad>", "<assistant>"])
    assert (
        decode(tokenizer, [*tokens_of(tokenizer, " the"), *middle, *tokens_of(tokenizer, " tea "), END], {END})
        == " the tea "
    )


def test_a_stop_token_that_is_an_ordinary_word_is_no_text_either(tokenizer):
    tokens = tokens_of(tokenizer, "the tea is")
    assert decode(tokenizer, tokens, {tokens[-1]}) == "the tea"


@given(TEXTS, st.lists(st.text(alphabet="abc☔ ", min_size=1, max_size=4), max_size=3))
def test_pieces_join_to_the_text_and_nothing_shown_is_taken_back(tokenizer, text, stop):
    reader, pieces, stopped, said = Reader(tokenizer, {END}, stop), [], False, []
    for token in [*tokens_of(tokenizer, text), END]:
        said.append(token)
        stopped = reader.feed(token)
        pieces.append(reader.piece())
        if stopped:
            break
    pieces.append(reader.rest())
    # generation ends with the first stop text that is complete, though a longer one may have begun before it
    assert "".join(pieces) == cut(decode(tokenizer, said, {END}), stop)
    assert stopped == any(ending in text for ending in stop)


def test_half_a_character_waits_for_the_other_half(tokenizer):
    reader, pieces = Reader(tokenizer, {END}, []), []
    for token in tokens_of(tokenizer, "🎉"):
        reader.feed(token)
        pieces.append(reader.piece())
    assert len(pieces) == 4
    assert pieces == ["", "", "", "🎉"]


def test_bytes_that_never_become_a_character_are_shown_at_the_end(tokenizer):
    reader = Reader(tokenizer, {END}, [])
    reader.feed(tokens_of(tokenizer, "🎉")[0])
    assert reader.piece() == ""
    assert reader.rest() == "\ufffd"


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("tea", ["x"], 3),
        ("tea\n", ["\n\n"], 3),
        ("tea ab", ["abc", "a"], 4),
        ("ab", ["b", "abab"], 0),
        ("aba", ["abc", "bab"], 1),
    ],
)
def test_the_beginning_of_a_stop_text_is_held_back(text, stop, expected):
    assert settled(text, stop) == expected


def test_the_first_stop_text_in_the_text_cuts_it():
    assert cut("one two three", ["three", "two"]) == "one "
    assert cut("one", ["two"]) == "one"
