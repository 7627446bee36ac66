"""From what people said about a task to the lines of a dataset: one for each kind of record that it yields."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from app.annotations.rules import messages_of
from app.datasets.forms import FreezeForm
from app.datasets.records import SCHEMA_VERSION
from app.datasets.rules import Line, split_of
from app.datasets.saying import Said, beside, heavy, is_adjudicated, parts_of, weighed, with_beside
from app.datasets.scoring import Scorer
from app.preferences.groups import (
    agreement_of_orders,
    choice_of,
    order_of_scores,
    questions_of,
    ranking_of,
    rating_of,
    tiers_of_choice,
)
from app.preferences.rules import agreement, conclusion, vote_of
from app.preferences.votes import Outcome, RankingVote, Vote
from app.projects.protocols import ProtocolBody, RatingProtocol, protocol_of
from app.prompts.tables import Use


@dataclass(frozen=True)
class TurnRow:
    """A turn of a conversation as a task of its own: what is asked is the conversation up to it."""

    messages: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    component: str
    group: str
    use: Use
    tags: tuple[str, ...] = ()


Told = tuple[Line, float]  # a line and its agreement
Asked = Row[Any] | TurnRow
Roots = Mapping[str, tuple[Use, str, str]]  # use, and group and key of the component, by key


@dataclass(frozen=True)
class Around:
    """What stands around conversations. roots: that they began under; names: of checkpoints, by outside id."""

    roots: Roots
    names: Mapping[str, str]


NOTHING = Around({}, {})


def lines_of_row(
    row: Row[Any],
    votes: Iterable[Mapping[str, Any]],
    protocols: Mapping[int, ProtocolBody],
    question: FreezeForm,
    scorer: Scorer | None = None,
    around: Around = NOTHING,
) -> Iterator[Told]:
    """The lines that a task yields. row: of `queries.chosen_answers`; votes: of it, those that have a rater;
    protocols: by version; scorer: of ratings."""
    by_kind: dict[str, list[Said]] = defaultdict(list)
    votes = sorted(votes, key=lambda vote: (is_adjudicated(vote), str(vote["rater"])))
    is_settled = any(map(is_adjudicated, votes))
    for vote in votes:
        for body, protocol in parts_of(vote["body"], protocols[vote["protocol"]].of_prompt(vote["tags"])):
            overall = "" if body is vote["body"] else vote["body"].get("justification", "")
            told = beside(body, vote["at"], overall)
            of_vote = (vote["rater"], vote["sides"], protocol, told, vote["protocol"], is_adjudicated(vote), is_settled)
            by_kind[body["kind"]].append(Said(body, *of_vote))
    is_combined = len(by_kind) > 1
    for kind, said in by_kind.items():
        name = f"{row.task}.{kind}" if is_combined else str(row.task)
        if kind in YIELDS:
            is_turn = kind == "rating" and row.is_turn
            yield from lines_of_judgement(row, said, name, question, scorer, with_order=is_turn)
        for one in said if kind == "conversation" else ():
            yield from lines_of_conversation(row, one, name, question, scorer, around)
        for one in said if kind in YIELDS_EACH else ():
            mine = f"{name}.{one.rater}"
            for about in YIELDS_EACH[kind](row, one, mine):
                yield start_of(row, mine, question) | about | {"weight": 1.0}, 1.0


def start_of(row: Asked, name: str, question: FreezeForm) -> Line:
    """What every line begins with."""
    return {
        "kind": "",
        "schema_version": SCHEMA_VERSION,
        "id": name,
        "group": str(row.group),
        "split": "heldout" if row.use is Use.heldout else split_of(row.component, question.heldout_share),
        **({"tags": row.tags} if row.tags else {}),
        "prompt": row.messages,
    }


def lines_of_conversation(
    row: Row[Any], one: Said, name: str, question: FreezeForm, scorer: Scorer | None, around: Around
) -> Iterator[Told]:
    """Each turn as the lines that its judgement yields. A conversation stands on the side of the split on which prompts
    that begin with its first words stand, and what begins as a held-out prompt does is held out or left alone."""
    root, told = one.body["root"], []
    use, group, component = around.roots.get(root, (Use.label, root, root))
    if use not in question.uses:
        return
    for number, turn in enumerate(one.body["turns"], 1):
        replies = [answer_of_turn(reply, around.names) for reply in turn["replies"]]
        told.append((turn["words"], None if turn["chosen"] is None else turn["replies"][turn["chosen"]]["text"]))
        if question.checkpoints and not {UUID(reply["checkpoint"]) for reply in replies} <= set(question.checkpoints):
            continue
        asked = TurnRow(messages_of(one.body["system"], told), replies, component, group, use)
        told_beside = beside(turn["said"], one.beside["at"], one.body.get("justification", ""))
        said = Said(turn["said"], one.rater, turn["sides"], protocol_of(turn["asked"]), told_beside)
        mine = f"{name}.{one.rater}.{number}"
        yield from lines_of_judgement(asked, [said], mine, question, scorer, with_order=said.body["kind"] == "rating")


def lines_of_judgement(
    row: Asked, said: Sequence[Said], name: str, question: FreezeForm, scorer: Scorer | None, *, with_order: bool
) -> Iterator[Told]:
    """What bodies of one kind yield. with_order: they are scores, and the order that they say is a line as well."""
    kind = said[0].body["kind"]
    about, agreed = YIELDS[kind](row, said)
    if kind == "rating" and scorer is not None:
        about = scorer.scored(about, said)
    scores = f"{name}.scores" if with_order else name
    yield start_of(row, scores, question) | about | {"weight": 1.0}, agreed
    if with_order:
        for told, agreed in ordered(row, said):
            yield start_of(row, name, question) | told | {"weight": 1.0}, agreed


def ordered(row: Asked, said: Sequence[Said]) -> Iterator[Told]:
    """Scores as an order: of two a comparison, of more a ranking."""
    orders = [(order_of_scores(rating_of(one.body, rater=one.rater, sides=one.sides)), one) for one in said]
    whole = [one for vote, one in orders if vote is not None]
    told_orders = weighed([vote for vote, _one in orders if vote is not None], whole)
    rankings = [vote for vote in told_orders if isinstance(vote, RankingVote)]
    votes = [vote for vote in told_orders if isinstance(vote, Vote)]
    if rankings:
        told = {"kind": "ranking", "answers": row.answers, "votes": with_beside(rankings, whole)}
        yield told, agreement_of_orders(heavy([vote.tiers for vote in rankings], whole))
    if votes:
        a, b = row.answers
        told = {"kind": "comparison", "a": a, "b": b, "conclusion": conclusion(votes).value}
        yield told | {"votes": with_beside(votes, whole)}, agreement(heavy(votes, whole))


def answer_of_turn(reply: Mapping[str, Any], names: Mapping[str, str]) -> Line:
    parts, writer = [{"type": "text", "text": reply["text"]}], reply["checkpoint"]
    return {"id": reply["id"], "checkpoint": writer, "author": names.get(writer), "parts": parts}


def compared(row: Asked, said: Sequence[Said]) -> Told:
    """A comparison of two; a choice where there are more."""
    if len(row.answers) > 2:
        return chosen(row, said)
    votes = weighed(
        [vote_of(one.body, rater=one.rater, sides=one.sides, levels=one.protocol.levels) for one in said], said
    )
    a, b = row.answers
    told = {"kind": "comparison", "a": a, "b": b, "conclusion": conclusion(votes).value} | points_of_view(said)
    return told | {"votes": with_beside(votes, said)}, agreement(heavy(votes, said))


def chosen(row: Asked, said: Sequence[Said]) -> Told:
    votes = weighed([choice_of(one.body, rater=one.rater, sides=one.sides) for one in said], said)
    orders = [[] if vote.best is None else tiers_of_choice(vote.best, vote.worst, len(row.answers)) for vote in votes]
    told = {"kind": "choice", "answers": row.answers, "votes": with_beside(votes, said)} | points_of_view(said)
    return told, agreement_of_orders(heavy(orders, said))


def points_of_view(said: Sequence[Said]) -> Line:
    """Criteria of a comparison that these raters were asked; nothing where they were asked none."""
    labels = {criterion.key: criterion.label for one in said for criterion in one.protocol.criteria}
    return {"criteria": [{"key": key, "label": label} for key, label in labels.items()]} if labels else {}


def ranked(row: Asked, said: Sequence[Said]) -> Told:
    votes = weighed([ranking_of(one.body, rater=one.rater, sides=one.sides) for one in said], said)
    told = {"kind": "ranking", "answers": row.answers, "votes": with_beside(votes, said)}
    return told, agreement_of_orders(heavy([vote.tiers for vote in votes], said))


def rated(row: Asked, said: Sequence[Said]) -> Told:
    """Agreement is not told of ratings: each criterion has its own. Columns are all criteria that these raters were
    asked, as they were asked last."""
    votes = weighed([rating_of(one.body, rater=one.rater, sides=one.sides) for one in said], said)
    asked = by_age(said)
    criteria = {one.key: one for protocol in asked for one in protocol.criteria}
    scales = [
        {name: getattr(one, name) for name in ("key", "label", "scale", "least", "most", "low", "high")}
        for one in criteria.values()
    ]
    told = {"kind": "rating", "answers": row.answers, "criteria": scales} | beside_criteria(asked)
    return told | {"votes": with_beside(votes, said)}, 1.0


def by_age(said: Sequence[Said]) -> list[Any]:
    """The protocols that these were said under, the newest last."""
    return [one.protocol for one in sorted(said, key=lambda one: one.version)]


def beside_criteria(protocols: Sequence[RatingProtocol]) -> Line:
    """What could be said about an answer besides: words by key."""
    errors = [one.errors for one in protocols if one.errors]
    offered = {
        "flags": [one.flags for one in protocols],
        "error_categories": [one.categories for one in errors],
        "error_severities": [one.severities for one in errors],
    }
    return {name: {one.key: one.label for named in all_named for one in named} for name, all_named in offered.items()}


def answered(row: Asked, said: Sequence[Said]) -> Told:
    """Columns are all questions that these raters were asked, as they were asked last."""
    votes = weighed([questions_of(one.body, rater=one.rater, sides=one.sides) for one in said], said)
    questions = {question.key: question for protocol in by_age(said) for question in protocol.questions}
    asked = [
        {name: getattr(one, name) for name in ("key", "label", "type", "about", "low", "high")}
        | {"options": {option.key: option.label for option in one.options}}
        | {"points": one.points if one.type == "scale" else None}
        for one in questions.values()
    ]
    told = {"kind": "questions", "answers": row.answers or [], "questions": asked}
    return told | {"votes": with_beside(votes, said)}, 1.0


def rewritten(row: Row[Any], one: Said, name: str) -> Iterator[Line]:
    """A demonstration; and as a pair, what was made better over what it was made from, which stood on the screen first.

    A rewrite has one strength of one: that it is better, and not how much.
    """
    original = row.answers[one.body["completion"]]
    mine = answer_by_hand(name, one.body["text"])
    told = {"kind": "demonstration", "answer": mine, "writer": one.rater, "rewritten_from": original["id"]}
    yield told | one.beside
    vote = Vote(rater=one.rater, outcome=Outcome.a, strength=1, levels=1, shown_first="b")
    told = {"kind": "comparison", "id": f"{name}.pair", "a": mine, "b": original, "conclusion": Outcome.a.value}
    yield told | {"votes": with_beside([vote], [one])}


def demonstrated(row: Row[Any], one: Said, name: str) -> Iterator[Line]:
    told = {"kind": "demonstration", "answer": answer_by_hand(name, one.body["text"]), "writer": one.rater}
    yield told | one.beside


def answer_by_hand(name: str, text: str) -> Line:
    return {"id": name, "checkpoint": None, "parts": [{"type": "text", "text": text}]}


# What the bodies of one kind about one task yield together, and what each of them yields: a new kind is a line in one.
YIELDS: dict[str, Callable[[Asked, Sequence[Said]], Told]] = {
    "comparison": compared,
    "questions": answered,
    "ranking": ranked,
    "rating": rated,
}
YIELDS_EACH: dict[str, Callable[[Row[Any], Said, str], Iterator[Line]]] = {
    "rewrite": rewritten,
    "demonstration": demonstrated,
}
