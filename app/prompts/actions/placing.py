"""Prompts find their roots and are stored, whatever brought them: what is here already, what stands on two sides."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.lines import Unreadable
from app.projects.care import categories_of, mask_of, mask_of_tags
from app.projects.rules import Shares
from app.projects.tables import Project
from app.prompts.actions.editing import note_care_sets
from app.prompts.forms import NewPrompt, Outcome, Report
from app.prompts.queries import roots_near, same_prompts, turns_of_roots
from app.prompts.rooting import Newcomer, OnTwoSides, Stand, newcomer, place
from app.prompts.rules import content_hash, first_user_turn
from app.prompts.tables import Prompt, Root, Use
from app.translation import _

PLACED_AT_ONCE = 200  # openings


@dataclass(frozen=True)
class Read:
    """One good line, ready to be stored. html: one piece for each message."""

    number: int
    prompt: NewPrompt
    hash: bytes
    html: list[str]
    newcomer: Newcomer


def ready(number: int, prompt: NewPrompt, html: list[str]) -> Read:
    found = newcomer(first_user_turn(prompt.messages), prompt.group, prompt.use)
    return Read(number, prompt, content_hash(prompt.messages), html, found)


async def take_in(
    session: AsyncSession, project: Project, import_id: int | None, chunk: Sequence[Read | Unreadable], report: Report
) -> None:
    """Store what is new in these lines and note what became of each."""
    good = [line for line in chunk if isinstance(line, Read)]
    for line in chunk:
        if isinstance(line, Unreadable):
            report.note(line.number, Outcome.refused, line.reason)
    good, care = _sensitive(good, project, report)
    new = await _sift(session, project.id, good, report)
    known = await _stands(session, project.id, [line.newcomer for line in new])
    before = [stand.component for stand in known]
    stands = await asyncio.to_thread(place, [line.newcomer for line in new], known, _drawing(project))
    placed: list[tuple[Read, Stand]] = []
    for line, stand in zip(new, stands, strict=True):
        if isinstance(stand, OnTwoSides):
            report.note(line.number, Outcome.conflicting, str(stand), line.prompt.external_id)
        else:
            report.note(line.number, Outcome.new)
            placed.append((line, stand))
    report.uses = dict(Counter(report.uses) + Counter(stand.use.value for _line, stand in placed))
    report.lines.sort(key=lambda said: said.line)
    if placed:
        await _join_components(session, project.id, before, known)
        await _store_roots(session, project.id, [stand for _line, stand in placed])
        await _store_prompts(session, project.id, import_id, placed, care)
        if any(care.values()):
            await note_care_sets(session, project.id)


async def place_words(session: AsyncSession, project_id: int, openings: Mapping[str, str]) -> None:
    """Give words that no prompt holds a root of their own, in one component with all that they are near to. The caller
    holds the project. openings: by the key of the root. What is near to two sides of the split is held out.
    """
    keys = sorted(openings)
    for some in (keys[at : at + PLACED_AT_ONCE] for at in range(0, len(keys), PLACED_AT_ONCE)):
        newcomers = await asyncio.to_thread(lambda keys: [_opening(key, openings[key]) for key in keys], some)
        known = await _stands(session, project_id, newcomers)
        before = [stand.component for stand in known]
        placed = await asyncio.to_thread(place, newcomers, known, lambda _key: Use.label)
        stands = [
            Stand(one.key, Use.heldout, bands=set(one.bands)) if isinstance(stand, OnTwoSides) else stand
            for one, stand in zip(newcomers, placed, strict=True)
        ]
        for stand in stands:
            stand.opening = openings[stand.key]
        await _join_components(session, project_id, before, known)
        await _store_roots(session, project_id, stands)


def _opening(key: str, words: str) -> Newcomer:
    return replace(newcomer(words, None, None), key=key, grouped=True)  # so that it keeps this key


def _sensitive(lines: list[Read], project: Project, report: Report) -> tuple[list[Read], dict[int, int]]:
    """The lines whose categories the project has, and what each (by number) is sensitive for."""
    categories = categories_of(project.care)
    good, care = [], {}
    for line in lines:
        try:
            care[line.number] = mask_of(line.prompt.care, categories) | mask_of_tags(line.prompt.tags, categories)
            good.append(line)
        except ValueError as error:
            report.note(line.number, Outcome.refused, str(error), line.prompt.external_id)
    return good, care


async def _sift(session: AsyncSession, project_id: int, lines: list[Read], report: Report) -> list[Read]:
    """The lines that nobody has seen before; of the others the report tells. First come, first kept."""
    ids = {line.prompt.external_id for line in lines if line.prompt.external_id is not None}
    here = await same_prompts(session, project_id, ids, {line.hash for line in lines})
    by_id: dict[str, tuple[bytes, Use | None]] = {
        prompt.external_id: (prompt.content_hash, prompt.use) for prompt in here if prompt.external_id
    }
    by_hash: dict[bytes, Use | None] = {prompt.content_hash: prompt.use for prompt in here}
    new = []
    for line in lines:
        named = by_id.get(line.prompt.external_id or "")
        if named is not None and named[0] != line.hash:
            reason = _("this id is here already with other content, which was kept")
            report.note(line.number, Outcome.conflicting, reason, line.prompt.external_id)
        elif line.hash in by_hash:
            _note_twin(line, by_hash[line.hash], report)
        else:
            new.append(line)
            by_hash[line.hash] = line.prompt.use
            if line.prompt.external_id is not None:
                by_id[line.prompt.external_id] = (line.hash, line.prompt.use)
    return new


def _note_twin(line: Read, use: Use | None, report: Report) -> None:
    """A line whose content is here already: identical, unless it names another use."""
    wanted = line.prompt.use
    if wanted is not None and use is not None and wanted != use:
        reason = _("this content is here already with the use “{use}”, which was kept").format(use=use)
        report.note(line.number, Outcome.conflicting, reason, line.prompt.external_id)
    else:
        report.note(line.number, Outcome.identical, None, line.prompt.external_id)


async def _stands(session: AsyncSession, project_id: int, newcomers: list[Newcomer]) -> list[Stand]:
    """The roots that any of these could belong to."""
    keys = list({one.key for one in newcomers})
    bands = list({band for one in newcomers for band in one.bands})
    roots = await roots_near(session, project_id, keys, bands) if newcomers else []
    turns = await turns_of_roots(session, roots) if roots else {}
    return [
        Stand(root.key, root.use, root.id, turns.get(root.id, []), set(root.bands), component=root.component)
        for root in roots
    ]


def _drawing(project: Project) -> Callable[[str], Use]:
    shares = Shares.model_validate(project.split)
    return lambda key: Use(shares.draw(key))


async def _join_components(session: AsyncSession, project_id: int, before: list[str], known: list[Stand]) -> None:
    """Write what newcomers have joined, also for roots that none of them is near to. before: the components of `known`
    as they were."""
    for old, new in {(old, stand.component) for old, stand in zip(before, known, strict=True)}:
        if old != new:
            theirs = (Root.project_id == project_id, Root.component == old)
            await session.execute(update(Root).where(*theirs).values(component=new))


async def _store_roots(session: AsyncSession, project_id: int, stands: list[Stand]) -> None:
    """Write new roots, and the bands that old ones have won; afterwards every stand has its id."""
    different = list({id(stand): stand for stand in stands}.values())
    made = []
    for stand in different:
        if stand.id is None:
            values = {"key": stand.key, "use": stand.use, "bands": sorted(stand.bands), "component": stand.component}
            made.append((stand, Root(project_id=project_id, opening=stand.opening, **values)))
        elif stand.grown:
            root = await session.get_one(Root, stand.id)
            root.bands = sorted(stand.bands)
    session.add_all([root for _stand, root in made])
    await session.flush()
    for stand, root in made:
        stand.id = root.id


async def _store_prompts(
    session: AsyncSession,
    project_id: int,
    import_id: int | None,
    placed: list[tuple[Read, Stand]],
    care: dict[int, int],
) -> None:
    values = [
        {
            "project_id": project_id,
            "root_id": stand.id,
            "import_id": import_id,
            "external_id": line.prompt.external_id,
            "use": stand.use,
            "messages": line.prompt.messages,
            "rendered": line.html,
            "content_hash": line.hash,
            "tags": list(line.prompt.tags),
            "care": care[line.number],
            "extra": line.prompt.metadata,
        }
        for line, stand in placed
    ]
    await session.execute(insert(Prompt), values)
