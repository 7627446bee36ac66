import pytest

from app.prompts.forms import as_prompt
from app.prompts.tables import Use


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({}, "either “prompt” or “messages”"),
        ({"prompt": "x", "messages": []}, "either “prompt” or “messages”"),
        ({"prompt": " \n"}, "prompt: it is empty"),
        ({"prompt": None}, "prompt: this is not text"),
        ({"prompt": [{"type": "film"}]}, "prompt: only parts of type “text”"),
        ({"messages": []}, "messages: this is not a list"),
        ({"messages": [{"role": "user"}]}, "messages[0]: it needs “role” and “content”"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role: “judge” is none of"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the last one must be the user's"),
        (
            {"messages": [{"role": role, "content": "x"} for role in ("user", "system", "user")]},
            "a system message can only be the first",
        ),
        ({"prompt": "x", "use": "later"}, "use: “later” is none of label, train, heldout"),
        ({"prompt": "x", "use": "label", "split": "test"}, "contradict"),
        ({"prompt": "x", "id": ""}, "id: it must have 1 to 500 characters"),
        ({"prompt": "x", "id": True}, "id: this is not text"),
        ({"prompt": "x", "tags": [1]}, "tags: this is not a list"),
        ({"prompt": "x", "metadata": []}, None),
        ({"prompt": "x", "metadata": [1]}, "metadata: this is not an object"),
    ],
)  # fmt: skip
def test_what_a_line_lacks_is_named(line: dict, words: str | None) -> None:
    if words is None:
        assert as_prompt(line).metadata == {}
        return
    with pytest.raises(ValueError) as caught:
        as_prompt(line)
    assert words in str(caught.value)


def test_the_words_that_others_use_for_held_out_are_understood() -> None:
    assert {as_prompt({"prompt": "x", "split": word}).use for word in ("test", "Held-Out", "validation")} == {
        Use.heldout
    }


def test_fields_we_do_not_know_are_kept() -> None:
    assert as_prompt({"prompt": "x", "source": "a", "metadata": {"b": 1}}).metadata == {"source": "a", "b": 1}
