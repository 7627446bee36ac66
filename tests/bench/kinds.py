"""A project's tasks of every kind, and an answer to one, for measuring what each costs the server."""

import re
from typing import Any

from tests.journeys import saying

CRITERIA = [{"key": key, "label": key.title()} for key in ("helpful", "correct", "coherent", "complex", "verbose")]
RATING = {"kind": "rating", "completions": 1, "criteria": CRITERIA}
RANKING = {"kind": "ranking"}
SIDES = {"criteria": [{"key": key, "label": key.title()} for key in ("helpful", "honest", "harmless")]}
SAID = ("best", "best_and_worst", "spans", "questions", "rewrite", "demonstration", "combined_texts")
TURNS = 2
KINDS: dict[str, tuple[int, dict[str, Any]]] = {  # completions that a task shows, protocol
    "comparison": (2, {}),
    "ranking": (4, RANKING),
    "rating": (1, RATING),
    "combined": (3, {"kind": "combined", "completions": 3, "parts": [RATING | {"completions": 3}, RANKING]}),
    "criteria": (2, SIDES),
    **{name: saying.PROTOCOLS[name] for name in SAID},
    "prompt": (0, {"kind": "prompt", "cards": [{"topic": "Paper"}]}),
    "conversation": (0, {"kind": "conversation", "least": TURNS, "most": TURNS}),
}


async def tasks_of(session: Any, project: Any, person: Any, shows: int, tasks: int, *, html: str, k: int) -> None:
    """html: of each completion; its text is as long. person: has led the conversations that wait to be ended."""
    from sqlalchemy import update

    from app.projects.queries import default_batch, newest_protocol
    from app.tasks.tables import Slot
    from tests import make

    batch, asked = await default_batch(session, project.id), await newest_protocol(session, project.id)
    text = re.sub(r"<[^>]+>", "", html)
    for _ in range(tasks):
        prompt = await make.prompt(session, project)
        shown = [await make.completion(session, prompt, text, html=html) for _ in range(shows)]
        kind = asked.body["kind"]
        task = await make.task(session, project, batch, k=k, prompt_row=prompt, completions=shown, kind=kind, shows=0)
        if not shows:  # there is no order to draw
            await session.execute(update(Slot).where(Slot.task_id == task.id).values(sides=[]))
        if kind == "conversation":
            await led(session, project, task, person, asked.id, html)


async def led(session: Any, project: Any, task: Any, person: Any, protocol_id: int, html: str) -> None:
    """Turns that this person has led and judged."""
    from sqlalchemy import select

    from app.annotations.kinds.comparison import KeptComparison
    from app.annotations.tables import Turn, TurnAnswer
    from app.checkpoints.tables import Checkpoint
    from tests import make

    writer = await session.scalar(select(Checkpoint.id).limit(1)) or (await make.checkpoint(session)).id
    said = KeptComparison(outcome="preferred", preferred=0, strength=2).model_dump(mode="json")
    mine = {"project_id": project.id, "task_id": task.id, "annotator_id": person.id, "protocol_id": protocol_id}
    for number in range(1, TURNS + 1):
        words = {"number": number, "root": f"turn:{task.id}", "words": "And then?", "html": "<p>And then?</p>"}
        turn = Turn(**mine, **words, wanted=2, sides=[0, 1], body=said, chosen=0)
        session.add(turn)
        await session.flush()
        for one in range(2):
            parts = [{"type": "text", "text": re.sub(r"<[^>]+>", "", html)}]
            about = {"turn_id": turn.id, "number": one, "sample": one, "checkpoint_id": writer}
            session.add(TurnAnswer(project_id=project.id, **about, seed=1, sampling={}, parts=parts, html=html))
    await session.flush()


def said_in(kind: str, html: str, number: int) -> dict[str, Any]:
    """Fields of an answer of this kind to the task on a page, hidden ones included. number: of the answer."""
    handles = re.findall(r'data-answer="([^"]+)"', html)
    hidden: dict[str, Any] = dict(re.findall(r'<input type="hidden" name="(key|kind)" value="([^"]+)">', html))
    return hidden | {"seen": "1"} | fields_of(kind, handles, html, number)


def fields_of(kind: str, handles: list[str], html: str, number: int) -> dict[str, Any]:
    tiers = {f"tier.{handle}": str(n) for n, handle in enumerate(handles, 1)}
    rated = {f"value.{handle}.{one['key']}": "4" for handle in handles for one in CRITERIA}
    parts = {"parts": re.findall(r'name="parts" value="(\w+)"', html)}
    if kind == "ranking":
        return tiers
    if kind == "rating":
        return rated
    if kind == "combined":
        both = (("rating", rated), ("ranking", tiers))
        return parts | {f"{part}.{name}": value for part, given in both for name, value in given.items()}
    if kind == "criteria":
        sides = {f"side.{one['key']}": handles[0] for one in SIDES["criteria"]}
        return sides | {"choice": f"{handles[0]}.2"}
    if kind == "prompt":
        return {"text": f"What is fold number {number} good for?"}
    if kind == "conversation":
        return {"turns": str(TURNS)}
    return saying.fields_for(kind, handles, html)
