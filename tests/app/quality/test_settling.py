"""What reviewers settle, what people contest, and who is let in."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.actions.joining import add_member
from app.accounts.permissions import Role
from app.accounts.tables import InboxItem, Membership
from app.annotations.actions.returning import OwnAnswer
from app.annotations.tables import Annotation, AnnotationVersion
from app.oversight.known import argued_tasks, known_shown
from app.oversight.newcomers import newcomers_wait
from app.projects.queries import newest_protocol
from app.projects.tables import Project
from app.quality import entering
from app.quality.actions import argue, drop_argument
from app.quality.adjudicating import (
    AnsweredYourself,
    ChangedMeanwhile,
    NotToBeSettled,
    accept_answer,
    adjudicate,
    open_again,
)
from app.quality.contesting import ContestClosed, ContestedBefore, NothingToContest, close_contest, contest, contests
from app.quality.entering import EntranceForm, judge_newcomers, let_in, set_entrance, standing_of
from app.quality.forms import Argument
from app.quality.queries import my_lessons
from app.quality.tables import Adjudication, ArguedAnswer, Contest, Entry, Use
from app.tasks.actions import Waiting, claim
from app.tasks.tables import Task
from tests import make
from tests.app.evaluation.scene import here
from tests.app.quality.test_mixing import FIRST, answer, argued, mixing, twins
from tests.app.scene import Scene, access_of, broken, scene
from tests.app.tasks.test_limits import limit
from tests.conftest import sign_in
from workers.handlers.quality import mix_argued_tasks_in

FRESH = {"populate_existing": True}


async def letters(session: AsyncSession, person_id: int) -> list[str]:
    found = await session.scalars(select(InboxItem).where(InboxItem.user_id == person_id).order_by(InboxItem.id))
    return [one.kind.value for one in found]


async def test_a_reviewer_accepts_or_corrects_and_what_was_said_stays(session: AsyncSession) -> None:
    there = await scene(session, people=3, tasks=1, k=2)
    task = await session.get_one(Task, there.tasks[0])
    reviewer = there.people[2].person.id
    for nth, side in ((0, 0), (1, 1)):
        await answer(session, there, nth, side)
    first, second = (await session.scalars(select(Annotation).order_by(Annotation.id))).all()
    settled = await accept_answer(session, there.project.id, first.public_id, reviewer, remark="as asked")
    assert (settled.body, settled.annotation_id, settled.remark) == (first.body, first.id, "as asked")
    own = FIRST | {"preferred": 1}
    settled = await adjudicate(session, task, first.protocol_id, own, reviewer)
    assert (settled.body["preferred"], settled.annotation_id) == (1, None)
    with pytest.raises(OwnAnswer):
        await accept_answer(session, there.project.id, second.public_id, second.annotator_id)
    with pytest.raises(NotToBeSettled):
        await adjudicate(session, task, first.protocol_id, {"kind": "rewrite", "text": "x"}, reviewer)
    kinds = text("SELECT kind FROM events WHERE subject = :task AND kind LIKE 'task.%' ORDER BY id")
    await open_again(session, task, reviewer)
    found = (await session.scalars(kinds, {"task": str(task.public_id)})).all()
    assert found == ["task.settled", "task.settled", "task.unsettled"]
    assert await session.scalar(select(Adjudication)) is None
    assert [one.state.value for one in await session.scalars(select(Annotation))] == ["live", "live"]


async def test_a_reviewer_settles_nothing_they_answered_and_accepts_nothing_they_did_not_see(
    session: AsyncSession,
) -> None:
    there = await scene(session, people=3, tasks=1, k=2)
    task = await session.get_one(Task, there.tasks[0])
    project, reviewer = there.project.id, there.people[2].person.id
    for nth in (0, 1):
        await answer(session, there, nth, nth)
    first, second = (await session.scalars(select(Annotation).order_by(Annotation.id))).all()
    with pytest.raises(AnsweredYourself):
        await adjudicate(session, task, first.protocol_id, FIRST, first.annotator_id)
    with pytest.raises(AnsweredYourself):
        await accept_answer(session, project, first.public_id, second.annotator_id)
    await session.execute(text("UPDATE annotations SET version = 2"))
    with pytest.raises(ChangedMeanwhile):
        await accept_answer(session, project, first.public_id, reviewer, version=1)
    assert (await accept_answer(session, project, first.public_id, reviewer, version=2)).annotation_id == first.id
    await session.execute(text("UPDATE annotations SET state = 'withdrawn'"))
    assert (await adjudicate(session, task, first.protocol_id, FIRST, second.annotator_id)).by_id


async def test_nobody_decides_about_a_task_that_they_answered_nor_about_its_twin(session: AsyncSession) -> None:
    there = await mixing(session, 1.0, people=3, tasks=2)
    first, (twin,) = await session.get_one(Task, there.tasks[0]), await twins(session)
    assert (await answer(session, there)).task_id == twin.id
    protocol, form = await newest_protocol(session, there.project.id), Argument(argument="The other one as well.")
    other, (me, _second, reviewer) = FIRST | {"preferred": 1}, [one.person.id for one in there.people]
    for task in (first, twin):
        with pytest.raises(AnsweredYourself):
            await argue(session, task, protocol.id, other, form, me)
        with pytest.raises(AnsweredYourself):
            await adjudicate(session, task, protocol.id, other, me)
    assert len((await argue(session, twin, protocol.id, other, form, reviewer)).bodies) == 2
    await adjudicate(session, twin, protocol.id, other, reviewer)
    for task in (first, twin):
        with pytest.raises(AnsweredYourself):
            await drop_argument(session, task, me)
    with pytest.raises(AnsweredYourself):
        await open_again(session, twin, me)
    assert len((await session.scalars(select(ArguedAnswer))).all()) == 2
    assert (await session.scalars(select(Adjudication))).one().task_id == twin.id


async def test_whoever_said_the_same_accepts_no_contest_about_it(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    """It would make their own answer right. To uphold what is argued against themselves is theirs to do."""
    there, said = await missed(session)
    project, me, reviewer = there.project.id, there.me.person.id, there.people[2].person
    mine = await contest(session, project, me, said.public_id, "The second one is shorter.")
    other = there.people[1].person
    page = f"/projects/{there.project.public_id}/review/contests"
    await session.execute(text("UPDATE memberships SET role = 'reviewer'"))
    offered = []
    for reader in (there.me.person, other, reviewer):
        await sign_in(client, session, reader)
        shown = (await client.get(page)).text
        offered.append([words in shown for words in ("Uphold</button>", "Accept as well</button>")])
    assert offered == [[False, False], [True, False], [True, True]]
    with pytest.raises(AnsweredYourself):
        await close_contest(session, project, mine.public_id, other.id, accepts=True)
    assert [len(one.bodies) for one in await session.scalars(select(ArguedAnswer), execution_options=FRESH)] == [1]
    assert not (await close_contest(session, project, mine.public_id, other.id, accepts=False)).is_accepted


async def test_the_page_of_a_task_that_its_reader_answered_has_no_form_to_decide(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2, tasks=1, k=2)
    task = await session.get_one(Task, there.tasks[0])
    await session.execute(text("UPDATE memberships SET role = 'reviewer'"))
    await answer(session, there)
    await argued(session, there, 0)
    protocol = await newest_protocol(session, there.project.id)
    await adjudicate(session, task, protocol.id, FIRST, there.people[1].person.id)
    page = f"/projects/{there.project.public_id}/tasks/{task.public_id}"
    decides = (
        "another reviewer settles it",
        *(f'action="{page}/{deed}"' for deed in ("settled", "argued", "argued/drop", "settled/open")),
    )
    seen = []
    for reader in there.people:
        await sign_in(client, session, reader.person)
        shown = (await client.get(page)).text
        seen.append([words in shown for words in decides])
    assert seen == [[True, False, False, False, False], [False, True, True, True, True]]
    await sign_in(client, session, there.me.person)
    sent = {"kind": "comparison", "choice": "tie", "argument": "So.", "use": "gold"}
    refused = await client.post(f"{page}/argued", data=sent)
    assert (refused.status_code, "another reviewer settles it" in refused.text) == (422, True)


async def test_what_is_contested_is_what_was_handed_in(session: AsyncSession) -> None:
    """Whoever misses and then changes it to what is accepted missed all the same, and may say why."""
    there, said = await missed(session)
    project, me = there.project.id, there.me.person.id
    session.add(AnnotationVersion(annotation_id=said.id, version=1, project_id=project, body=said.body, by_id=me))
    said.body, said.version = FIRST, 2
    await session.flush()
    mine = await contest(session, project, me, said.public_id, "The second one is shorter.")
    ((_held, _said, body, *_rest),) = (await session.execute(contests(project, is_open=True))).all()
    assert body["preferred"] == 1
    await close_contest(session, project, mine.public_id, there.people[2].person.id, accepts=True)
    found = (await session.scalars(select(ArguedAnswer), execution_options=FRESH)).one()
    assert [body["preferred"] for body in found.bodies] == [0, 1]
    (known,) = await known_shown(session, (await session.execute(argued_tasks(project))).all())
    assert (known.answers, known.right) == (2, 2)


async def missed(session: AsyncSession, use: Use = Use.gold) -> tuple[Scene, Annotation]:
    """The first of two people says otherwise than what is argued; the third is a reviewer."""
    there = await scene(session, people=3, tasks=1, k=2)
    await session.execute(text("UPDATE memberships SET role = 'reviewer' WHERE user_id = :it"),
                          {"it": there.people[2].person.id})  # fmt: skip
    for nth in (0, 1):
        await answer(session, there, nth, 1)
    await argued(session, there, 0, use)
    return there, (await session.scalars(select(Annotation).order_by(Annotation.id).limit(1))).one()


async def test_an_accepted_contest_makes_the_answer_right_for_everybody_who_gave_it(session: AsyncSession) -> None:
    there, said = await missed(session)
    project, reviewer = there.project.id, there.people[2].person.id
    mine = await contest(session, project, there.me.person.id, said.public_id, "The second one is shorter.")
    other = (await session.scalars(select(Annotation).order_by(Annotation.id.desc()).limit(1))).one()
    theirs = await contest(session, project, other.annotator_id, other.public_id, "So say I.")
    with pytest.raises(ContestedBefore):
        await contest(session, project, there.me.person.id, said.public_id, "Again.")
    assert await letters(session, reviewer) == ["contested", "contested"]
    await close_contest(session, project, mine.public_id, reviewer, accepts=True, reply="You are right.")
    with pytest.raises(ContestClosed):
        await close_contest(session, project, theirs.public_id, reviewer, accepts=False)
    found = (await session.scalars(select(ArguedAnswer), execution_options=FRESH)).one()
    assert [body["preferred"] for body in found.bodies] == [0, 1]
    for person in (there.me.person.id, other.annotator_id):
        (lesson,) = await my_lessons(session, person, project)
        assert lesson.is_hit
        assert await letters(session, person) == ["accepted"]
    await session.execute(text("DELETE FROM contests"))
    with pytest.raises(NothingToContest):
        await contest(session, project, there.me.person.id, said.public_id, "It is right, and I say so.")


async def test_an_upheld_contest_changes_nothing_but_is_told(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there, said = await missed(session, Use.attention)
    base = f"/projects/{there.project.public_id}"
    await sign_in(client, session, there.me.person)
    page = f"{base}/answers/{said.public_id}"
    assert "I think this is wrong because" in (await client.get(page)).text
    assert (await client.post(f"{page}/contest", data={"words": "It is not."})).status_code == 303
    told = (await client.get(page)).text
    assert "It is not." in told
    assert "I think this is wrong because" not in told
    found = (await session.scalars(select(Contest))).one()
    reviewer = there.people[2].person.id
    await close_contest(session, there.project.id, found.public_id, reviewer, accepts=False, reply="Read it again.")
    assert "Read it again." in (await client.get(page)).text
    assert "what is argued stays" in (await client.get("/inbox")).text


# ---- the entrance ---------------------------------------------------------------------------------------------------


async def with_entrance(
    session: AsyncSession, *, tasks: int = 2, right: int = 2, tries: int = 2, known: int = 5
) -> Scene:
    """Some argued tasks with twins, and as many usual ones. Who is there already stays in."""
    there = await scene(session, people=1, tasks=2 * known, k=1)
    for nth in range(known):
        await argued(session, there, nth)
    form = EntranceForm(tasks=tasks, right=right, tries=tries)
    project = await session.get_one(Project, there.project.id)
    await set_entrance(session, project, form, there.me.person.id)
    await mix_argued_tasks_in(here(session))
    return there


async def newcomer(session: AsyncSession, there: Scene) -> Scene:
    """The scene as somebody sees it who joined just now."""
    person = await make.user(session)
    await add_member(session, there.project.id, person, Role.annotator)
    return await as_they_are(session, Scene(there.project, there.batch_id, [access_of(there.project, person)], []))


async def as_they_are(session: AsyncSession, there: Scene) -> Scene:
    found = select(Membership).where(Membership.user_id == there.me.person.id).execution_options(**FRESH)
    member = (await session.scalars(found)).one()
    values = {"lanes": tuple(member.lanes), "paused": member.paused_at is not None}
    return Scene(there.project, there.batch_id, [access_of(there.project, there.me.person, **values)], [])


async def test_newcomers_answer_known_tasks_until_enough_are_right_and_then_the_usual_ones(
    session: AsyncSession,
) -> None:
    there = await with_entrance(session)
    known = {one.id for one in await twins(session)}
    assert (await answer(session, there)).task_id not in known  # who was there before is not asked
    new = await newcomer(session, there)
    assert new.me.lanes == (32,)
    seen = [(await answer(session, new, 0, 0)).task_id for _n in range(2)]
    assert set(seen) <= known
    assert await judge_newcomers(session, there.project.id) == 1
    new = await as_they_are(session, new)
    assert new.me.lanes == (0,)
    assert (await answer(session, new)).task_id not in known
    assert await letters(session, new.me.person.id) == ["entered"]
    assert await judge_newcomers(session, there.project.id) == 0
    assert await broken(session) == {}


async def test_who_fails_tries_again_with_other_tasks_and_then_rests_until_somebody_lets_them_in(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await with_entrance(session)
    project = await session.get_one(Project, there.project.id)
    new = await newcomer(session, there)
    me = new.me.person.id
    seen = [(await answer(session, new, 0, 0)).task_id]
    assert await judge_newcomers(session, project.id) == 0
    seen.append((await answer(session, new, 0, 1)).task_id)
    assert await judge_newcomers(session, project.id) == 1
    standing = await standing_of(session, project, me)
    assert standing is not None
    assert (standing.state, standing.given, standing.tries_left) == (Entry.trying, 0, 1)
    assert (standing.hits, standing.of) == (1, 2)
    seen += [(await answer(session, new, 0, 1)).task_id for _n in range(2)]
    assert len(set(seen)) == 4
    await sign_in(client, session, new.me.person)
    base = f"/projects/{project.public_id}"
    assert "The last time 1 of 2 were right." in (await client.get(f"{base}/me")).text
    assert "Before the usual tasks" in (await client.get(f"{base}/annotate")).text
    await judge_newcomers(session, project.id)
    assert (await as_they_are(session, new)).me.paused
    assert await letters(session, me) == ["try_again", "not_entered"]
    for page in ("annotate", "me"):
        assert "You were not let in." in (await client.get(f"{base}/{page}")).text
    # 0 of the last 2 were right; with one accepted 1, with both 2: let in after all
    (reviewer,) = there.people
    missed = (
        await session.scalars(select(Annotation).where(Annotation.annotator_id == me).order_by(Annotation.id))
    ).all()
    for nth, said in enumerate(missed[2:]):
        assert (await as_they_are(session, new)).me.paused, nth
        about = await contest(session, project.id, me, said.public_id, "It is right.")
        await close_contest(session, project.id, about.public_id, reviewer.person.id, accepts=True)
    new = await as_they_are(session, new)
    assert (new.me.lanes, new.me.paused) == ((0,), False)
    await let_in(session, project.id, await pseudonym(session, await newcomer(session, there)), reviewer.person.id)


async def pseudonym(session: AsyncSession, there: Scene) -> str:
    found = select(Membership.pseudonym).where(Membership.user_id == there.me.person.id)
    return (await session.scalars(found)).one()


async def test_newcomers_take_the_room_of_usual_answers(session: AsyncSession) -> None:
    there = await with_entrance(session)
    await limit(session, there, answers_in_all=1)
    new, other = await newcomer(session, there), await newcomer(session, there)
    held = await claim(session, new.me)
    assert not isinstance(held, Waiting)
    assert isinstance(await claim(session, other.me), Waiting)
    assert not isinstance(again := await claim(session, new.me), Waiting)
    assert again.task_id == held.task_id
    assert await broken(session) == {}


async def test_known_tasks_of_a_round_that_has_ended_are_still_met(session: AsyncSession) -> None:
    """Argued tasks are those of rounds that are done, and these end: newcomers would find nothing for ever."""
    there = await with_entrance(session)
    await session.execute(text("UPDATE batches SET state = 'closed'"))
    await session.execute(text("UPDATE projects SET gold_share = 1"))
    known = {one.id for one in await twins(session)}
    new = await newcomer(session, there)
    assert [(await answer(session, new, 0, 0)).task_id in known for _n in range(2)] == [True, True]
    assert isinstance(await claim(session, there.me), Waiting)  # none is mixed in among nothing
    assert await broken(session) == {}


@pytest.mark.parametrize("how", ["contest", "argue"])
async def test_who_gave_an_answer_that_is_accepted_later_is_let_in_without_a_word(
    session: AsyncSession, how: str
) -> None:
    there = await with_entrance(session, tasks=1, right=1, tries=1, known=1)
    project, reviewer = there.project.id, there.me.person.id
    new, silent = await newcomer(session, there), await newcomer(session, there)
    for one in (new, silent):
        await answer(session, one, 0, 1)
    await judge_newcomers(session, project)
    assert (await as_they_are(session, silent)).me.paused
    mine = select(Annotation).where(Annotation.annotator_id == new.me.person.id)
    said = (await session.scalars(mine)).one()
    if how == "contest":
        about = await contest(session, project, new.me.person.id, said.public_id, "It is right.")
        await close_contest(session, project, about.public_id, reviewer, accepts=True)
    else:
        task = await session.get_one(Task, said.task_id)
        protocol = await newest_protocol(session, project)
        await argue(session, task, protocol.id, FIRST | {"preferred": 1}, Argument(argument="So as well."), reviewer)
    for one in (new, silent):
        there = await as_they_are(session, one)
        assert (there.me.lanes, there.me.paused) == ((0,), False)
        assert (await letters(session, one.me.person.id)).count("entered") == 1


async def test_without_an_entrance_nobody_stays_out_who_failed_it(session: AsyncSession) -> None:
    there = await with_entrance(session, tasks=1, right=1, tries=1, known=1)
    new, left = await newcomer(session, there), await newcomer(session, there)
    for one in (new, left):
        await answer(session, one, 0, 1)
    await judge_newcomers(session, there.project.id)
    gone = text("UPDATE memberships SET deactivated_at = now() WHERE user_id = :it")
    await session.execute(gone, {"it": left.me.person.id})
    project = await session.get_one(Project, there.project.id)
    await set_entrance(session, project, None, there.me.person.id)
    assert [(await as_they_are(session, one)).me.paused for one in (new, left)] == [False, True]
    assert (await as_they_are(session, new)).me.lanes == (0,)


async def test_who_is_let_in_while_they_are_judged_stays_in(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await with_entrance(session, tasks=1, right=1, tries=1, known=1)
    new = await newcomer(session, there)
    await answer(session, new, 0, 1)
    answered = entering._answered

    async def meanwhile(*given: Any) -> Any:
        await session.execute(text("UPDATE entrances SET state = 'exempt'"))
        return await answered(*given)

    monkeypatch.setattr(entering, "_answered", meanwhile)
    assert await judge_newcomers(session, there.project.id) == 0
    assert not (await as_they_are(session, new)).me.paused


async def test_a_try_is_judged_again_by_its_own_answers(session: AsyncSession) -> None:
    """First a wrong one and a right one, then again; then nothing is known of what the second try got wrong."""
    there = await with_entrance(session)
    new = await newcomer(session, there)
    project, me = there.project.id, new.me.person.id
    for side in (1, 0, 1, 0):
        last = await answer(session, new, 0, side)
        if side:
            about = last.task_id
        await judge_newcomers(session, project)
    assert (await as_they_are(session, new)).me.paused
    await drop_argument(session, await session.get_one(Task, about), there.me.person.id)
    await entering.judge_again(session, project, me)
    assert (await as_they_are(session, new)).me.paused  # the right one of the first try does not count


async def test_newcomers_who_have_met_all_there_is_are_a_matter_for_today(session: AsyncSession) -> None:
    there = await with_entrance(session, tasks=2, right=2, tries=1, known=2)
    new = await newcomer(session, there)
    long_ago = (
        "UPDATE memberships SET created_at = created_at - interval '1 day'",
        "UPDATE annotations SET submitted_at = submitted_at - interval '1 day'",
    )
    project = await session.get_one(Project, there.project.id)
    await answer(session, new, 0, 0)
    for sql in long_ago:
        await session.execute(text(sql))
    assert await newcomers_wait(session, there.me, project) is None  # there is another one
    await session.execute(text("UPDATE slots SET state = 3 WHERE state = 0 AND task_id <> ALL(:met)"),
                          {"met": [(await session.scalars(select(Annotation.task_id))).one()]})  # fmt: skip
    found = await newcomers_wait(session, there.me, project)
    assert found is not None
    assert (found.kind, found.address.split("/")[-1]) == ("newcomers_wait", "gold")
    await session.execute(text("UPDATE annotations SET submitted_at = now()"))
    assert await newcomers_wait(session, there.me, project) is None  # they have only just answered
