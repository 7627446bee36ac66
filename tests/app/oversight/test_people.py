"""Everybody who answers, as each role sees them; one person's page; and changes to several at once."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import InboxItem, Membership, User
from app.annotations.tables import Annotation, AnnotationVersion
from app.events import Event
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.quality.gathering import gather
from app.quality.persons import persons_of
from app.quality.queries import my_lessons
from app.quality.tables import ArguedAnswer, Use
from app.tasks.actions import claim
from app.tasks.tables import Lapse, Purpose, QuotaDay, Slot
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import broken, claimed, engineer, scene, sweep_all
from tests.conftest import sign_in
from workers.handlers.quality import measure_again

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


async def place_of(session: AsyncSession, project: Project, person: User) -> Membership:
    asked = select(Membership).filter_by(project_id=project.id, user_id=person.id)
    return (await session.scalars(asked.execution_options(populate_existing=True))).one()


async def answered(session: AsyncSession, gold: int = 20, use: Use = Use.gold) -> tuple[Project, User, User]:
    """Two people of two cohorts and known answers: one meets all, the other those of the first weeks alone, five a
    week, and copies the first's reasons. Their times are even, but too few lie within a sitting for a sign."""
    project = await make.project(session)
    batch = await default_batch(session, project.id)
    people = [await make.user(session, name) for name in ("Careful One", "Tired One")]
    for person, cohort in zip(people, ("north", "south"), strict=True):
        await make.member(session, project, person, cohort=cohort)
        session.add(QuotaDay(project_id=project.id, annotator_id=person.id, day=MONDAY.date(), used=gold))
    for number in range(gold):
        task = await make.task(session, project, batch, k=2, purpose=Purpose.gold, chance=None)
        argued = ArguedAnswer(task_id=task.id, project_id=project.id, protocol_id=1, bodies=[], use=use)
        argued.markdown, argued.html, argued.by_id, argued.at = "x", "x", people[0].id, MONDAY - timedelta(days=1)
        week = timedelta(weeks=number // 5, minutes=number % 5 * 7 + number)
        for who, person in enumerate(people):
            said = 1 if who and number >= gold // 2 else 0
            made = await make.annotation(
                session,
                task,
                person,
                said,
                submitted_at=MONDAY + week + timedelta(hours=who),
                shown_at=MONDAY + week + timedelta(hours=who, seconds=-30),
                active_seconds=20.0,
                sides=[number % 2, 1 - number % 2],
            )
            made.body = made.body | {"justification": f"The answer number {number} names where it has it from."}
            argued.protocol_id = made.protocol_id
            argued.bodies = argued.bodies or [{name: one for name, one in made.body.items() if name != "justification"}]
        session.add(argued)
    await session.flush()
    await measure_again(here(session))
    return project, people[0], people[1]


async def test_figures_of_people_by_hand(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """20 known answers, five a week: the tired one meets 10 of 10 before and 0 of 10 after; C(20,10) = 184756 ways."""
    project, careful, tired = await answered(session)
    await engineer(client, session, project, Role.reviewer)
    address = f"/api/v1/projects/{project.public_id}/annotators"
    rows = {row["rater"]: row for row in (await client.get(address)).json()["rows"]}
    one = rows[(await place_of(session, project, careful)).pseudonym]
    other = rows[(await place_of(session, project, tired)).pseudonym]
    assert (one["gold"]["value"], other["gold"]["value"], other["gold"]["n"]) == (1.0, 0.5, 20)
    assert [week["hits"] for week in other["weeks"]] == [5, 5, 0, 0]
    assert other["drift"] == other["drift"] | {"before": [10, 10], "after": [0, 10], "fell": True}
    assert round(other["drift"]["p"] * 184756, 6) == 1.0
    assert not one["drift"]["fell"]
    assert (other["answers"], other["active"], other["seconds"], other["in_all"]) == (20, 400.0, 20.0, 20)
    assert other["signs"]["copied"] == {"value": 1.0, "n": 20, "limit": 0.1, "raised": True}
    assert not one["signs"]["copied"]["raised"]
    assert other["signs"]["clockwork"] == {"value": None, "n": 16, "limit": 1.5, "raised": False}
    assert {name for name, sign in other["signs"].items() if sign["raised"]} == {"copied", "gold"}  # half is chance
    fell = await client.get(address, params={"fell": True})
    assert [row["rater"] for row in fell.json()["rows"]] == [other["rater"]]
    by_gold = (await client.get(address, params={"by": "gold", "down": True})).json()["rows"]
    assert [row["rater"] for row in by_gold][:2] == [one["rater"], other["rater"]]
    page = (await client.get(f"/projects/{project.public_id}/annotators/{other['rater']}")).text
    assert "Their known answers fell" in page
    assert tired.name not in page  # a reviewer knows pseudonyms
    evidence = (await client.get(f"/projects/{project.public_id}/annotators/{other['rater']}/signs/copied")).text
    assert evidence.count("names where it has it from") == 20


async def test_missed_attention_checks_are_a_sign(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """The tired one misses ten of twenty, the careful one none; a check that nobody else answered says nothing."""
    project, careful, tired = await answered(session, use=Use.attention)
    gathered = await gather(session, project.id)
    people = persons_of(gathered)["people"]
    sign = people[str(tired.id)]["signs"]["attention"]
    missed = [fact.id for fact in gathered.facts if fact.person == tired.id and fact.body["preferred"] == 1]
    assert (sign["value"], sign["n"], sign["raised"], sign["shows"]) == (0.5, 20, True, missed[::-1])
    assert people[str(careful.id)]["signs"]["attention"]["raised"] is False
    alone = replace(gathered, facts=[fact for fact in gathered.facts if fact.person == tired.id])
    assert persons_of(alone)["people"][str(tired.id)]["signs"]["attention"]["n"] == 0
    await engineer(client, session, project, Role.reviewer)
    page = (await client.get(f"/projects/{project.public_id}/annotators/signs", params={"sign": "attention"})).text
    assert "Attention checks missed" in page
    assert (await place_of(session, project, tired)).pseudonym in page


async def test_pages_say_what_figures_rest_on(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """Figures kept before a sign was thought of lack it, and are shown all the same."""
    project, _careful, tired = await answered(session, gold=1)
    who = f"{{people,{tired.id},signs,attention}}"
    cut = text("UPDATE figures SET body = jsonb_set(body #- CAST(:who AS text[]), '{is_cut}', 'true') "
               "WHERE name = 'people'")  # fmt: skip
    base = f"/projects/{project.public_id}/annotators"
    await engineer(client, session, project, Role.manager)
    pages = [base, f"{base}/signs?sign=", f"{base}/{(await place_of(session, project, tired)).pseudonym}"]
    assert ["newest 200,000" in (await client.get(page)).text for page in pages] == [False] * 3
    assert (await client.get(f"/api/v1{base}")).json()["newest"] is None
    await session.execute(cut, {"who": who})
    session.expire_all()
    assert ["newest 200,000" in (await client.get(page)).text for page in pages] == [True] * 3
    assert (await client.get(f"/api/v1{base}")).json()["newest"] == 200_000


async def test_more_skills_than_fifty_are_refused(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    place = await place_of(session, there.project, await session.get_one(User, there.me.person.id))
    place.skills = [f"{n}" for n in range(49)]
    await session.flush()
    await engineer(client, session, there.project, Role.manager)
    refused = await change(client, there.project, who=[place.pseudonym], does="add_skills", skills=["a", "b"])
    assert (refused.status_code, "51 skills" in refused.text) == (422, True)
    assert (await change(client, there.project, who=[place.pseudonym], does="add_skills", skills=["a"])).json()
    assert len((await place_of(session, there.project, await session.get_one(User, there.me.person.id))).skills) == 50


async def test_what_was_argued_from_an_answer_is_not_met_by_it(session: AsyncSession) -> None:
    project, careful, _tired = await answered(session, gold=4)
    await session.execute(text("UPDATE argued_answers SET at = now()"))
    found = persons_of(await gather(session, project.id))
    assert found["people"][str(careful.id)]["gold"]["n"] == 0


async def test_each_sees_whom_they_may(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, careful, tired = await answered(session, gold=1)
    address = f"/projects/{project.public_id}/annotators"
    mine, theirs = await place_of(session, project, careful), await place_of(session, project, tired)
    lead = await make.user(session)
    await make.member(session, project, lead, Role.lead, cohort="north")
    await sign_in(client, session, lead)
    page = (await client.get(address)).text
    assert careful.name in page
    assert tired.name not in page
    assert (await client.get(f"{address}/{theirs.pseudonym}")).status_code == 404
    assert (await client.get(f"/api/v1{address}/{theirs.pseudonym}")).status_code == 404
    assert (await client.get(f"{address}/{mine.pseudonym}")).status_code == 200
    narrow = await make.api_token(session, lead, scopes=["member.list"])  # fewer permissions never show more
    told = await client.get(f"/api/v1{address}", headers={"Authorization": f"Bearer {narrow}"})
    assert theirs.pseudonym not in {one["rater"] for one in told.json()["rows"]}
    (await place_of(session, project, lead)).cohort = theirs.cohort = None  # who is in none leads nobody
    await session.flush()
    assert tired.name not in (await client.get(address)).text
    await engineer(client, session, project)
    page = (await client.get(address)).text
    assert mine.pseudonym in page
    assert careful.name not in page
    await sign_in(client, session, careful)
    assert (await client.get(address)).status_code == 403
    (await place_of(session, project, careful)).role = Role.reviewer  # who answers: nothing about them beside others
    await session.flush()
    assert (await client.get(f"{address}/{mine.pseudonym}")).headers["location"].endswith("/me")
    own = (await client.get(f"/api/v1{address}/{mine.pseudonym}")).json()
    assert (own["gold"], own["signs"], own["in_all"]) == (None, {}, 1)


async def change(client: httpx.AsyncClient, project: Project, **form: Any) -> httpx.Response:
    return await client.post(f"/api/v1/projects/{project.public_id}/annotators/changes", json=form)


async def test_several_at_once(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=3, tasks=3)
    people = [await session.get_one(User, one.person.id) for one in there.people]
    places = [await place_of(session, there.project, person) for person in people]
    who = [place.pseudonym for place in places[:2]]
    await engineer(client, session, there.project, Role.manager)
    assert (await change(client, there.project, who=who, does="cohort", cohort="east")).json() == {"people": 2}
    await change(client, there.project, who=who, does="add_skills", skills=["German"])
    await change(client, there.project, who=who, does="daily_limit", daily_limit=7)
    found = [await place_of(session, there.project, person) for person in people]
    assert [(one.cohort, one.skills, one.daily_limit) for one in found] == [("east", ["German"], 7)] * 2 + [
        (None, [], None)
    ]
    quotas = (await session.scalars(select(Event.body).where(Event.kind == "quota.changed"))).all()
    expected = [{"who": one, "was": {"daily_limit": None}, "is": {"daily_limit": 7}} for one in sorted(who)]
    assert [sorted(body["people"], key=lambda one: one["who"]) for body in quotas] == [expected]
    found[2].lanes = [0, 9]
    await session.flush()
    await change(client, there.project, who=who, does="cohort", cohort="west")
    assert (await place_of(session, there.project, people[2])).lanes == [0, 9]  # not theirs to lock, so not settled
    refused = await change(client, there.project, who=[who[0], "nobody"], does="pause")
    assert refused.status_code == 422
    page = await client.get(
        f"/projects/{there.project.public_id}/annotators/change", params={"who": who, "does": "pause"}
    )
    assert "2 people" in page.text
    filtered = {"state": "paused", "by": "gold"}
    nobody = await client.get(f"/projects/{there.project.public_id}/annotators/change", params=filtered)
    assert nobody.headers["location"].endswith("/annotators?state=paused&by=gold")  # the list as it was


async def test_every_order_and_the_filter_are_followed(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2)
    await engineer(client, session, there.project, Role.manager)
    address = f"/projects/{there.project.public_id}/annotators"
    page = (await client.get(address)).text
    links = [
        unescape(one) for head in re.findall("<th.*?</th>", page, re.S) for one in re.findall('href="(.*?)"', head)
    ]
    field = re.search('<select[^>]* name="by".*?</select>', page, re.S)
    assert field is not None
    orders = re.findall('<option value="(.*?)"', field[0])
    assert sorted(dict(httpx.URL(one).params).get("by", "pseudonym") for one in links) == sorted(orders)
    form = page[page.index('role="search"') :].split("</form>")[0]
    sent = dict.fromkeys(re.findall('<(?:input|select)(?![^>]*checkbox)[^>]* name="(.*?)"', form), "")
    assert sent.keys() >= {"q", "state", "sign", "by"}
    links += [str(httpx.URL(address, params=sent | {"by": one, "down": "true"})) for one in orders]
    assert [(await client.get(one)).status_code for one in links] == [200] * 16


async def test_a_refused_change_changes_nobody(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """Both managers and an annotator are chosen on the page: the second manager cannot go, so nobody does."""
    there = await scene(session)
    person = await session.get_one(User, there.me.person.id)
    other = await make.user(session)
    await make.member(session, there.project, other, Role.manager)
    me = await engineer(client, session, there.project, Role.manager)
    places = [await place_of(session, there.project, one) for one in (person, other, me)]
    sent = {"does": "deactivate", "who": [one.pseudonym for one in places]}
    answer = await client.post(f"/projects/{there.project.public_id}/annotators/change", data=sent)
    assert answer.status_code == 409
    assert "needs a manager" in answer.text
    places = [await place_of(session, there.project, one) for one in (person, other, me)]
    assert [(one.paused_at, one.deactivated_at) for one in places] == [(None, None)] * 3
    assert await session.scalar(select(func.count()).where(Event.kind == "member.deactivated")) == 0


async def test_an_edit_after_the_lesson_does_not_count(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """The tired one missed the last two of four, was told, and set one of them right: what was said first counts."""
    project, _careful, tired = await answered(session, gold=4)
    asked = select(Annotation).filter_by(annotator_id=tired.id).order_by(Annotation.id.desc())
    last = (await session.scalars(asked.limit(1))).one()
    old = AnnotationVersion(annotation_id=last.id, version=1, project_id=project.id, body=last.body, by_id=tired.id)
    session.add(old)
    last.version, last.body = 2, last.body | {"preferred": 0}
    await session.flush()
    gathered = await gather(session, project.id)
    assert persons_of(gathered)["people"][str(tired.id)]["gold"]["hits"] == 2
    lessons = await my_lessons(session, tired.id, project.id)
    assert [one.is_hit for one in lessons] == [False, False, True, True]
    assert gathered.facts[-1].body["preferred"] == 0  # the edited answer is the answer everywhere else


async def test_deactivating_frees_what_is_in_hand(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, tasks=2)
    shown = await claimed(session, there.me)
    person = await session.get_one(User, there.me.person.id)
    place = await place_of(session, there.project, person)
    await engineer(client, session, there.project, Role.manager)
    await change(client, there.project, who=[place.pseudonym], does="deactivate")
    await claim(session, there.me)  # looked before they were deactivated, and holds the task for longer
    assert await sweep_all(session) == 1
    lapse = await session.get_one(Lapse, shown.key)
    assert lapse.ran_out  # it was not given back: the answer is paid should it come
    leased = await session.scalar(select(func.count()).where(Slot.state == 1))
    place = await place_of(session, there.project, person)
    assert (leased, place.paused_at is None, place.deactivated_at is None) == (0, False, False)
    assert await broken(session) == {}
    listed = await client.get(f"/projects/{there.project.public_id}/annotators")
    assert place.pseudonym not in listed.text
    await change(client, there.project, who=[place.pseudonym], does="pause")  # they stay deactivated
    assert (await place_of(session, there.project, person)).deactivated_at is not None
    await change(client, there.project, who=[place.pseudonym], does="reactivate")
    place = await place_of(session, there.project, person)
    assert (place.paused_at, place.deactivated_at) == (None, None)
    kinds = await session.scalars(select(Event.kind).where(Event.kind.startswith("member.")).order_by(Event.id))
    assert list(kinds) == ["member.deactivated", "member.reactivated"]


async def test_a_message_is_read_and_answered(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    person = await session.get_one(User, there.me.person.id)
    place = await place_of(session, there.project, person)
    manager = await engineer(client, session, there.project, Role.manager)
    await change(client, there.project, who=[place.pseudonym], does="message", text="How do you\nchoose so fast?")
    await sign_in(client, session, person)
    assert "How do you choose so fast?" in (await client.get("/inbox")).text
    letter = (await session.scalars(select(InboxItem).filter_by(user_id=person.id))).one()
    page = (await client.get(f"/inbox/{letter.public_id}")).text
    assert "From those who run" in page
    assert await session.scalar(select(InboxItem.read_at).filter_by(user_id=person.id)) is not None
    await client.post(f"/inbox/{letter.public_id}/reply", data={"text": "I know these."})
    answer = (await session.scalars(select(InboxItem).filter_by(user_id=manager.id))).one()
    assert (await client.get(f"/inbox/{answer.public_id}")).status_code == 404  # of somebody else
    await sign_in(client, session, manager)
    page = (await client.get(f"/inbox/{answer.public_id}")).text
    assert "I know these." in page
    assert place.pseudonym in page
    await client.post(f"/inbox/{answer.public_id}/reply", data={"text": "Thank you."})
    their_place = await place_of(session, there.project, manager)
    their_place.role = Role.annotator  # also who answers here, or is a manager no more, wrote as those who run it
    await session.flush()
    await sign_in(client, session, person)
    letters = await session.scalars(select(InboxItem).filter_by(user_id=person.id).order_by(InboxItem.id))
    for one in letters.all():
        page = (await client.get(f"/inbox/{one.public_id}")).text
        assert "From those who run" in page
        assert their_place.pseudonym not in page
