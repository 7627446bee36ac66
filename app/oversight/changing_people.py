"""What those who run a project do to several of its people at once; each person's change is an event of its own."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import uuid4

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.actions.inbox import tell
from app.accounts.actions.lanes import settle_lanes, share_hand_out
from app.accounts.actions.members import keep_a_manager, note_quotas, quota_of
from app.accounts.forms import (
    MOST_SKILLS,
    Cohort,
    DayLimit,
    Message,
    Pseudonyms,
    Skills,
    Strict,
    TotalLimit,
    empty_is_none,
)
from app.accounts.tables import Letter, Membership
from app.errors import Invalid
from app.events import record
from app.translation import _


class Does(StrEnum):
    """What happens to those chosen. deactivate: they are asked nothing more, and within seconds the sweeper frees the
    task in their hands (`tasks.actions.ending`), one person at a time and with nobody's rows locked here."""

    cohort = "cohort"
    add_skills = "add_skills"
    drop_skills = "drop_skills"
    daily_limit = "daily_limit"
    total_limit = "total_limit"
    pause = "pause"
    resume = "resume"
    deactivate = "deactivate"
    reactivate = "reactivate"
    message = "message"


PLACE = {  # kinds of events of those that open and close a place
    Does.pause: "member.paused",
    Does.resume: "member.resumed",
    Does.deactivate: "member.deactivated",
    Does.reactivate: "member.reactivated",
}


class PeopleChange(Strict):
    """who: pseudonyms. Of the rest what `does` asks for: an empty cohort is none, an empty limit the project's own, or
    none in all."""

    who: Annotated[Pseudonyms, Field(min_length=1)]
    does: Does
    cohort: Cohort = None
    skills: Skills = Field(default=[])
    daily_limit: DayLimit = None
    total_limit: TotalLimit = None
    text: Annotated[Message | None, BeforeValidator(empty_is_none)] = None

    @model_validator(mode="after")
    def says_what(self) -> Self:
        if self.does in (Does.add_skills, Does.drop_skills) and not self.skills:
            raise ValueError(_("skills: say which"))
        if self.does is Does.message and self.text is None:
            raise ValueError(_("text: write something"))
        return self


async def change_people(session: AsyncSession, access: Access, form: PeopleChange) -> int:
    """Do one thing to several people, all of them or nobody, also where the caller goes on after a refusal. Returns how
    many.

    :raises Invalid: a pseudonym is nobody's here, or somebody would have too many skills.
    :raises LastManager: :raises TooManyAudiences:
    """
    async with session.begin_nested():
        await share_hand_out(session, access.of_project())
        people = await _chosen(session, access, form.who)
        if form.does is Does.message:
            await _write(session, access, people, form.text or "")
        elif form.does in PLACE:
            for member in people:
                await _open_or_close(session, access, member, form.does)
        else:
            await _change(session, access, people, form)
    return len(people)


async def _chosen(session: AsyncSession, access: Access, who: list[str]) -> list[Membership]:
    """Their places, locked in one order."""
    found = select(Membership).where(Membership.project_id == access.of_project(), Membership.pseudonym.in_(who))
    people = list(await session.scalars(found.order_by(Membership.id).with_for_update()))
    strange = set(who) - {member.pseudonym for member in people}
    if strange:
        raise Invalid(field="who", reason=_("“{name}” is nobody's pseudonym here").format(name=min(strange)))
    return people


async def _write(session: AsyncSession, access: Access, people: list[Membership], text: str) -> None:
    name = uuid4()
    whom = [member.user_id for member in people]
    await tell(session, whom, access.of_project(), Letter.message, name, text=text, by_id=access.person.id)
    for member in people:
        await _note(session, access, "member.written_to", member, message=str(name), text=text)


async def _open_or_close(session: AsyncSession, access: Access, member: Membership, does: Does) -> None:
    if _is_so(member, does):
        return
    closes = does in (Does.pause, Does.deactivate)
    if closes:
        await keep_a_manager(session, member)
    member.paused_at = (member.paused_at or func.now()) if closes else None
    member.deactivated_at = func.now() if does is Does.deactivate else None
    await session.flush()
    await _note(session, access, PLACE[does], member)


def _is_so(member: Membership, does: Does) -> bool:
    """Whether nothing is to be done; whoever is deactivated is paused as well."""
    if does is Does.deactivate:
        return member.deactivated_at is not None
    return (member.paused_at is not None) is (does is Does.pause)


async def _change(session: AsyncSession, access: Access, people: list[Membership], form: PeopleChange) -> None:
    quotas = {}
    for member in people:
        was = quota_of(member)
        told: dict[str, object] = {}
        match form.does:
            case Does.cohort:
                member.cohort = told["cohort"] = form.cohort
            case Does.add_skills:
                member.skills = told["skills"] = _with_skills(member, form.skills)
            case Does.drop_skills:
                member.skills = told["skills"] = [one for one in member.skills if one not in form.skills]
            case Does.daily_limit:
                member.daily_limit = form.daily_limit
            case Does.total_limit:
                member.total_limit = form.total_limit
        if told:
            await _note(session, access, "member.changed", member, **told)
        quotas[member.pseudonym] = (was, quota_of(member))
    await session.flush()
    await note_quotas(session, access, quotas)
    if form.does in (Does.cohort, Does.add_skills, Does.drop_skills):
        await settle_lanes(session, access.of_project(), *(member.id for member in people))


def _with_skills(member: Membership, skills: list[str]) -> list[str]:
    both = list(dict.fromkeys([*member.skills, *skills]))
    if len(both) > MOST_SKILLS:
        reason = _("{who} would have {count} skills; {most} are the most").format(
            who=member.pseudonym, count=len(both), most=MOST_SKILLS
        )
        raise Invalid(field="skills", reason=reason)
    return both


async def _note(session: AsyncSession, access: Access, kind: str, member: Membership, **told: object) -> None:
    me = access.person.id
    await record(session, kind, actor_id=me, project_id=member.project_id, subject=member.pseudonym, **told)
