import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.completions.rules import flaw_of, in_jobs, seed_for
from app.prompts.rules import content_hash

PROMPT = "Tell me how to fold a paper crane, please."


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200b", "\ufeff", "\u2060\u00ad "])
def test_what_cannot_be_seen_is_empty(text: str) -> None:
    assert flaw_of(text, PROMPT) == "empty"


@pytest.mark.parametrize(
    "text",
    [
        "sorry " * 200,
        "!" * 60,
        "<|im_end|><|im_start|><|im_end|>",
        "ok</s></s></s>",
        "I am sure that this is so. " * 40,
        "tell me how to fold a paper crane please",
    ],
)
def test_what_is_broken_is_degenerate(text: str) -> None:
    assert flaw_of(text, PROMPT) == "degenerate"


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "No.",
        "Yes, yes, yes!",
        "Take a square sheet. Fold it along both diagonals, then along both middles. Collapse it inwards.",
        "| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(30)),
        "```python\nfor i in range(10):\n    print('<|x|>')\n```",
        "你好，这是一个很好的问题。",
    ],
)
def test_what_can_be_judged_has_no_flaw(text: str) -> None:
    assert flaw_of(text, PROMPT) is None


def test_a_short_greeting_may_be_answered_in_kind() -> None:
    assert flaw_of("Hello!", "hello") is None


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_text_is_judged_without_a_fault(text: str, prompt: str) -> None:
    assert flaw_of(text, prompt) in (None, "empty", "degenerate")


@given(st.integers(0, 2**31 - 1), st.binary(min_size=32, max_size=32))
def test_seeds_fit(seed: int, digest: bytes) -> None:
    assert 0 <= seed_for(seed, digest) < 2**31


def test_seeds_are_the_same_on_every_machine() -> None:
    assert (seed_for(7, bytes(32)), seed_for(8, bytes(32))) == (735092056, 1834526346)


def test_different_prompts_get_different_seeds() -> None:
    assert len({seed_for(7, content_hash([number])) for number in range(1000)}) == 1000


@given(st.lists(st.integers(), max_size=200), st.integers(1, 64))
def test_jobs_hold_every_prompt_once_in_order(prompts: list[int], size: int) -> None:
    jobs = in_jobs(prompts, size)
    assert [prompt for job in jobs for prompt in job] == prompts
    assert all(1 <= len(job) <= size for job in jobs)
