"""REST: checkpoints side by side."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.tables import Checkpoint
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.playground.actions import send_to_annotators, start_play
from app.playground.forms import PlayForm, SendForm
from app.playground.queries import Given, given_in, lines_of, play_of, plays_of
from app.playground.rules import Sample
from app.playground.tables import Play

router = APIRouter(tags=["playground"])
Player = Annotated[Access, may(Permission.completion_edit)]
Sender = Annotated[Access, may(Permission.task_edit)]


class PlayAnswerView(BaseModel):
    """What a checkpoint said. samples: all its answers, of which `best` is the place of the one with the highest mean
    reward; each has `rewards`, a number for each member of the reward model, in log-odds
    (where it rates several criteria and has no overall head: their mean in deviations of the reference's answers), and
    `heads` where that has several.

    ratios: the best one in pieces, [text, log π − log π_ref in nats], and kl their sum: an estimate of the divergence
    where the sampling is temperature 1 and cuts nothing. no_reward, no_ratios, reason: why something is not there.
    """

    checkpoint: UUID
    reference: UUID | None
    answered_at: datetime | None
    samples: list[Sample] = []
    best: int | None = None
    kl: float | None = None
    ratios: list[tuple[str, float]] | None = None
    no_reward: str | None = None
    no_ratios: str | None = None
    reason: str | None


class Asked(BaseModel):
    """One prompt put to several checkpoints. tasks: those that were made of it."""

    id: UUID
    messages: list[dict[str, Any]]
    sampling: dict[str, Any]
    seed: int
    reward: UUID | None
    tasks: list[str]
    created_at: datetime


class PlayView(Asked):
    answers: list[PlayAnswerView]


class PlayAnswerLine(BaseModel):
    checkpoint: UUID
    answered_at: datetime | None
    reason: str | None


class PlayLine(Asked):
    """A play as lists show it: what was said stands at its own address."""

    answers: list[PlayAnswerLine]


class PlayPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[PlayLine]
    next: str | None


class SentView(BaseModel):
    tasks: list[str]


def answer_view(one: Given) -> PlayAnswerView:
    plain: dict[str, Any] = {
        "checkpoint": one.checkpoint.public_id,
        "reference": one.reference.public_id if one.reference else None,
        "answered_at": one.row.answered_at,
        "reason": one.row.reason,
    }
    result = one.result
    return PlayAnswerView(**plain | ({**result.model_dump(), "kl": result.kl} if result else {}))


def told(play: Play) -> dict[str, Any]:
    plain = {name: getattr(play, name) for name in ("messages", "sampling", "seed", "created_at")}
    return {"id": play.public_id, "tasks": play.sent, **plain}


async def view(session: Session, play: Play) -> PlayView:
    reward = await session.get(Checkpoint, play.reward_id) if play.reward_id else None
    answers = [answer_view(one) for one in await given_in(session, play.id)]
    return PlayView(reward=reward.public_id if reward else None, answers=answers, **told(play))


@router.get("/projects/{project}/playground")
async def list_plays(
    project: UUID, access: Player, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> PlayPage:
    """Your own, newest first, without what was answered. They are forgotten after seven days."""
    page = await page_of(session, plays_of(access.of_project(), access.person.id), Play.id, cursor=cursor, limit=limit)
    lines = await lines_of(session, page.rows)
    return PlayPage(rows=[PlayLine(**told(one), **lines[one.id]) for one in page.rows], next=page.next)


@router.post("/projects/{project}/playground", status_code=202)
async def play(project: UUID, form: PlayForm, access: Player, session: Session) -> PlayView:
    """Put a prompt to two to four checkpoints, with the same seed and sampling. Ask again until each answer has its
    `answered_at`."""
    return await view(session, await start_play(session, access.of_project(), form, access.person.id))


@router.get("/projects/{project}/playground/{play}")
async def show(project: UUID, play: UUID, access: Player, session: Session) -> PlayView:
    return await view(session, await play_of(session, access.of_project(), access.person.id, play))


@router.post("/projects/{project}/playground/{play}/tasks", status_code=201)
async def send(project: UUID, play: UUID, form: SendForm, access: Sender, session: Session) -> SentView:
    """Put some of the answers to people: as many as the default round judges at a time, or one task for each where it
    judges them singly. Once for each play."""
    found = await play_of(session, access.of_project(), access.person.id, play)
    return SentView(tasks=await send_to_annotators(session, found, form.answers, access.person.id))
