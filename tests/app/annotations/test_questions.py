"""Questions of a project's own: when each is asked, what may be said, and what is kept of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.annotations.kinds import AgainstTheProtocol, QuestionsForm, from_fields
from app.projects.protocols import QuestionsProtocol, RatingProtocol, protocol_of
from app.projects.protocols.conditions import shown
from app.projects.protocols.questions import Question

KEYS = "abcdefg"
TYPES = ("yes_no", "scale", "number", "choice", "choices", "text")
OPTIONS = [{"key": key, "label": key.upper()} for key in ("one", "two", "three")]


def question(key: str, type_: str = "yes_no", **values: Any) -> dict[str, Any]:
    options = OPTIONS if type_ in ("choice", "choices") else []
    return {"key": key, "label": f"Question {key}", "type": type_, "options": options} | values


def asking(*questions: dict[str, Any], **values: Any) -> QuestionsProtocol:
    body = protocol_of({"kind": "questions", "questions": questions} | values)
    assert isinstance(body, QuestionsProtocol)
    return body


def said(task: dict[str, Any] | None = None, **answers: dict[str, Any]) -> QuestionsForm:
    about = [{"completion": handle, "said": one} for handle, one in answers.items()]
    return QuestionsForm.model_validate({"kind": "questions", "task": task or {}, "answers": about})


@st.composite
def conditions(draw: st.DrawFn, earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for named in draw(st.lists(st.sampled_from(earlier), max_size=2)) if earlier else []:
        condition: dict[str, Any] = {"question": named["key"]}
        if named["type"] in ("choice", "choices", "yes_no"):
            offered = ["yes", "no"] if named["type"] == "yes_no" else ["one", "two", "three"]
            condition["values"] = draw(st.lists(st.sampled_from(offered), max_size=2, unique=True))
        elif named["type"] in ("scale", "number"):
            condition |= {"least": draw(st.none() | st.integers(0, 5)), "most": draw(st.none() | st.integers(2, 6))}
        found.append(condition)
    return found


@st.composite
def protocols(draw: st.DrawFn) -> QuestionsProtocol:
    made: list[dict[str, Any]] = []
    for key in KEYS[: draw(st.integers(1, len(KEYS)))]:
        required = draw(st.booleans())
        made.append(question(key, draw(st.sampled_from(TYPES)), required=required, only_if=draw(conditions(made))))
    return asking(*made)


VALUES = {
    "yes_no": st.booleans(),
    "scale": st.integers(1, 5),
    "number": st.floats(0, 6) | st.integers(0, 6),
    "choice": st.sampled_from(["one", "two", "three"]),
    "choices": st.lists(st.sampled_from(["one", "two", "three"]), max_size=3).map(tuple),
    "text": st.sampled_from(["", "  ", "because"]),
}


@st.composite
def protocols_and_answers(draw: st.DrawFn, *, whole: bool = False) -> tuple[QuestionsProtocol, dict[str, Any]]:
    protocol = draw(protocols())
    asked = [one for one in protocol.questions if whole or draw(st.booleans())]
    return protocol, {one.key: draw(VALUES[one.type]) for one in asked}


def keys(questions: list[Question]) -> list[str]:
    return [one.key for one in questions]


def kept_or_open(protocol: QuestionsProtocol, answers: dict[str, Any]) -> dict[str, Any] | str:
    """What is kept about the task, or the key that is still open."""
    try:
        return dict(said(answers).kept(protocol, {}).task)
    except AgainstTheProtocol as refusal:
        return str(refusal.fields["field"]).removeprefix("task.")


@given(protocols_and_answers())
def test_what_is_not_asked_is_never_required_and_never_kept(made: tuple[QuestionsProtocol, dict[str, Any]]) -> None:
    protocol, answers = made
    found = kept_or_open(protocol, answers)
    meant = {key: value for key, value in answers.items() if value != () and str(value).strip()}
    asked = keys(shown(protocol.questions, meant))
    by_key = {one.key: one for one in protocol.questions}
    if isinstance(found, str):
        assert found in asked
        assert by_key[found].required
        return
    assert set(found) == set(asked) & set(meant)
    assert {key for key in asked if by_key[key].required} <= set(found)


@given(protocols_and_answers(whole=True), st.data())
def test_answers_to_hidden_questions_change_nothing(
    made: tuple[QuestionsProtocol, dict[str, Any]], data: st.DataObject
) -> None:
    protocol, answers = made
    found = kept_or_open(protocol, answers)
    meant = {key: value for key, value in answers.items() if value != () and str(value).strip()}
    hidden = [one for one in protocol.questions if one.key not in keys(shown(protocol.questions, meant))]
    others = answers | {one.key: data.draw(VALUES[one.type]) for one in hidden}
    assert kept_or_open(protocol, others) == found
    without = {key: value for key, value in answers.items() if key not in {one.key for one in hidden}}
    assert kept_or_open(protocol, without) == found


@given(protocols_and_answers(whole=True))
def test_what_is_kept_asks_the_same_questions_again(made: tuple[QuestionsProtocol, dict[str, Any]]) -> None:
    protocol, answers = made
    found = kept_or_open(protocol, answers)
    if isinstance(found, str):
        return
    assert kept_or_open(protocol, found) == found
    again = said(answers).kept(protocol, {}).fields([])
    assert from_fields("questions", again).kept(protocol, {}).model_dump()["task"] == found


@given(protocols_and_answers(whole=True), st.integers(0, len(KEYS)))
def test_a_later_answer_never_decides_on_an_earlier_question(
    made: tuple[QuestionsProtocol, dict[str, Any]], place: int
) -> None:
    protocol, answers = made
    early = protocol.questions[:place]
    first = {one.key for one in early}
    part = {key: value for key, value in answers.items() if key in first}
    assert keys(shown(early, part)) == [key for key in keys(shown(protocol.questions, answers)) if key in first]


@given(protocols())
def test_without_a_word_only_questions_without_conditions_are_asked(protocol: QuestionsProtocol) -> None:
    assert keys(shown(protocol.questions, {})) == [one.key for one in protocol.questions if not one.only_if]


def test_an_answer_about_the_task_decides_what_is_asked_about_each_answer() -> None:
    protocol = asking(
        question("poem"),
        question("rhymes", "scale", about="answer", only_if=[{"question": "poem", "values": ["yes"]}]),
        question("why", "text", about="answer", only_if=[{"question": "rhymes", "most": 2}]),
    )
    numbers = {"x": 0, "y": 1}
    kept = said({"poem": False}, x={"rhymes": 3}).kept(protocol, numbers)
    assert [(one.completion, one.said) for one in kept.answers] == [(0, {}), (1, {})]
    with pytest.raises(AgainstTheProtocol, match="“Question rhymes” is still open"):
        said({"poem": True}, x={"rhymes": 3}).kept(protocol, numbers)
    with pytest.raises(AgainstTheProtocol, match="“Question why” is still open"):
        said({"poem": True}, x={"rhymes": 3}, y={"rhymes": 2}).kept(protocol, numbers)
    kept = said({"poem": True}, y={"rhymes": 2, "why": "It halts."}, x={"rhymes": 3, "why": "?"}).kept(
        protocol, numbers
    )
    assert [one.said for one in kept.answers] == [{"rhymes": 3}, {"rhymes": 2, "why": "It halts."}]
    assert kept.words(["B", "A"], protocol) == (
        "Question poem: yes; A: Question rhymes: 2, Question why: It halts.; B: Question rhymes: 3"
    )


@pytest.mark.parametrize(
    ("type_", "values", "wrong", "reason"),
    [
        ("yes_no", {}, "yes", "true or false"),
        ("yes_no", {}, 1, "true or false"),
        ("scale", {"points": 5}, 6, "from 1 to 5"),
        ("scale", {}, 2.0, "from 1 to 5"),
        ("scale", {}, True, "from 1 to 5"),
        ("number", {}, "3", "with a number"),
        ("number", {}, True, "with a number"),
        ("number", {}, 1e16, "with a number"),
        ("number", {"whole": True}, 2.5, "a whole number"),
        ("number", {"least": 0, "most": 10}, 11, "is 0 to 10"),
        ("number", {"least": 0.5}, 0, "at least 0.5"),
        ("number", {"most": 7}, 8, "at most 7"),
        ("choice", {}, "four", "does not offer “four”"),
        ("choice", {}, False, "does not offer"),
        ("choices", {}, "one", "with a list"),
        ("choices", {}, ["one", "four"], "does not offer “four”"),
        ("text", {}, 3, "with a text"),
        ("text", {"longest": 3}, "four", "holds 3 characters, not 4"),
    ],
)
def test_a_value_of_another_type_or_beyond_what_is_offered_is_refused(
    type_: str, values: dict[str, Any], wrong: Any, reason: str
) -> None:
    with pytest.raises(AgainstTheProtocol, match=reason):
        said({"a": wrong}).kept(asking(question("a", type_, **values)), {})


def test_fields_of_a_browser_become_values_of_their_types() -> None:
    protocol = asking(
        question("yes"),
        question("point", "scale"),
        question("size", "number"),
        question("count", "number", whole=True),
        question("pick", "choice"),
        question("picks", "choices"),
        question("why", "text", about="answer"),
    )
    fields = {
        "say.task.yes": ["no"],
        "say.task.point": ["4"],
        "say.task.size": ["3"],
        "say.task.count": ["3"],
        "say.task.pick": ["two"],
        "say.task.picks": ["three", "one"],
        "say.x.why": ["first\r\nsecond"],
        "value.x.quality": ["3"],
    }
    kept = from_fields("questions", fields).kept(protocol, {"x": 0})
    assert kept.model_dump(mode="json")["task"] == {
        "yes": False, "point": 4, "size": 3.0, "count": 3, "pick": "two", "picks": ["one", "three"]
    }  # fmt: skip
    assert isinstance(kept.model_dump()["task"]["size"], float)
    assert from_fields("questions", kept.fields(["x"])).kept(protocol, {"x": 0}) == kept
    assert kept.told(["some-id"])["answers"] == [{"completion": "some-id", "said": {"why": "first\r\nsecond"}}]


def test_unknown_questions_are_refused_and_those_of_other_prompts_are_dropped() -> None:
    protocol = asking(question("rhyme", tags=["poem"]), question("works", tags=["code", "maths"]), question("good"))
    poem = protocol.of_prompt(["poem", "short"])
    assert said({"rhyme": True, "works": True, "good": True}).kept(poem, {}).task == {"rhyme": True, "good": True}
    assert said({"good": True}).kept(protocol.of_prompt([]), {}).task == {"good": True}
    with pytest.raises(AgainstTheProtocol, match="no such question"):
        said({"rhymes": True, "good": True}).kept(poem, {})
    with pytest.raises(AgainstTheProtocol, match="“Question rhyme” is still open"):
        said({"good": True}).kept(poem, {})


def test_a_question_that_depends_on_one_of_other_prompts_is_not_asked() -> None:
    only_if = [{"question": "rhyme", "values": ["no"]}]
    protocol = asking(question("rhyme", tags=["poem"]), question("why", "text", only_if=only_if))
    assert said({}).kept(protocol.of_prompt(["code"]), {}).task == {}
    with pytest.raises(AgainstTheProtocol, match="“Question why” is still open"):
        said({"rhyme": False}).kept(protocol.of_prompt(["poem"]), {})


def test_a_rating_asks_each_prompt_the_criteria_of_its_tags() -> None:
    criteria = [
        {"key": "rhyme", "label": "Rhyme", "tags": ["poem"]},
        {"key": "works", "label": "Works", "tags": ["code"]},
    ]
    protocol = protocol_of({"kind": "rating", "criteria": [*criteria, {"key": "all", "label": "All"}]})
    assert isinstance(protocol, RatingProtocol)
    fields = {"value.x.rhyme": ["2"], "value.x.works": ["3"], "value.x.all": ["4"]}
    for tags, wanted in ((["poem"], {"rhyme": 2, "all": 4}), (["code"], {"works": 3, "all": 4}), ([], {"all": 4})):
        kept = from_fields("rating", fields).kept(protocol.of_prompt(tags), {"x": 0})
        assert kept.ratings[0].criteria == wanted  # type: ignore[attr-defined]
    with pytest.raises(AgainstTheProtocol, match="“Rhyme” is still open"):
        from_fields("rating", {"value.x.all": ["4"]}).kept(protocol.of_prompt(["poem"]), {"x": 0})


@pytest.mark.parametrize(
    ("questions", "reason"),
    [
        ([question("a"), question("a")], "“a” is there twice"),
        ([question("a", "choice", options=OPTIONS[:1])], "two options or more"),
        ([question("a", "choice", options=[OPTIONS[0], OPTIONS[0]])], "“one” is there twice"),
        ([question("a", "number", least=3, most=2)], "the least is more than the most"),
        ([question("a", only_if=[{"question": "b"}]), question("b")], "“b”, which is no earlier question"),
        ([question("a", only_if=[{"question": "a"}])], "“a”, which is no earlier question"),
        ([question("a", about="answer"), question("b", only_if=[{"question": "a"}])], "which is asked of each answer"),
        ([question("a"), question("b", only_if=[{"question": "a", "values": ["maybe"]}])], "does not offer"),
        ([question("a", "text"), question("b", only_if=[{"question": "a", "values": ["x"]}])], "does not offer"),
        ([question("a", "text"), question("b", only_if=[{"question": "a", "least": 1}])], "which “Question a” is not"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(questions: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        asking(*questions)
    if len(questions) == 1:
        return
    with pytest.raises(ValidationError, match="ask about the task"):
        asking(question("a", about="answer"), completions=0)


def test_a_completion_that_was_not_shown_or_is_there_twice_is_refused() -> None:
    protocol = asking(question("a", about="answer"))
    with pytest.raises(Exception, match="not one of this task's answers"):
        said({}, z={"a": True}).kept(protocol, {"x": 0})
    twice = [{"completion": "x", "said": {}}] * 2
    with pytest.raises(ValidationError, match="spoken about twice"):
        QuestionsForm.model_validate({"kind": "questions", "answers": twice})
