"""Files of prompts come in: good lines are stored, all others told of, and those with media when these are here."""

import asyncio
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.jobs.queue import enqueue
from app.lines import Row, Unreadable, read_rows
from app.markup import render_markdown
from app.media.drawing import draw_parts
from app.media.rules import CannotStand, Known, filled, has_media
from app.projects.actions import locked
from app.projects.care import categories_of, mask_of, mask_of_tags
from app.projects.rules import Shares
from app.projects.tables import Project
from app.prompts.actions.editing import note_care_sets
from app.prompts.actions.waiting import Illustrated, address_of_media, settled_lines, whose_media_are_here
from app.prompts.forms import NewPrompt, Outcome, Report, as_prompt
from app.prompts.jobs import PromptsArrived
from app.prompts.queries import roots_near, same_prompts, turns_of_roots
from app.prompts.rooting import Newcomer, OnTwoSides, Stand, newcomer, place
from app.prompts.rules import content_hash, first_user_turn, text_of
from app.prompts.tables import Import, Prompt, Root, Use
from app.translation import _

CHUNK = 500  # lines written at once, and no more than this many letters of prompts:
CHUNK_LETTERS = 1_000_000
IN_MEMORY = 16_000_000  # bytes of a file that has been read; more lie on disk until they are written


Line = Illustrated[NewPrompt]


@dataclass(frozen=True)
class Read:
    """One good line, ready to be stored. html: one piece for each message."""

    number: int
    prompt: NewPrompt
    hash: bytes
    html: list[str]
    newcomer: Newcomer


async def import_prompts(
    session: AsyncSession,
    project_id: int,
    name: str,
    stream: BinaryIO,
    actor_id: int | None,
    *,
    dry_run: bool = False,
    tags: tuple[str, ...] = (),
) -> Report:
    """Take in a JSONL file or JSON array of prompts; good lines come in, the report speaks of all others.

    Lines whose media are still to come wait for them, and the report grows as they do. stream: seekable bytes. tags:
    given to every prompt of the file. dry_run: the same report, and nothing is kept.
    One transaction, so a file that breaks off leaves nothing half done; imports of one project wait for each other.
    The whole file is read before the first statement: long prompts take longer than a transaction may wait for us.
    """
    report = Report(name=name, dry_run=dry_run)
    with await asyncio.to_thread(_read_all, stream, tags) as lines:
        project = await locked(session, project_id)
        async with session.begin_nested() as attempt:
            record = Import(project_id=project_id, name=name, report={}, created_by_id=actor_id)
            session.add(record)
            await session.flush()
            while chunk := await asyncio.to_thread(_next_chunk, lines):
                whole = await _with_media(session, project, record, chunk, report)
                await _take_in(session, project, record.id, whole, report)
            if dry_run:
                await attempt.rollback()
    if dry_run:
        return report
    report.id = record.public_id
    record.report = report.model_dump(mode="json")
    await _tell(session, project, record, report, actor_id)
    return report


async def _tell(session: AsyncSession, project: Project, record: Import, report: Report, actor_id: int | None) -> None:
    await session.flush()
    counts = report.model_dump(include={outcome.value for outcome in Outcome})
    await events.record(
        session,
        "prompts.imported",
        actor_id=actor_id,
        project_id=project.id,
        subject=record.public_id,
        name=report.name,
        **counts,
    )
    if report.uses.get(Use.label):
        await enqueue(session, PromptsArrived(project_id=project.id))


def _read_all(stream: BinaryIO, tags: tuple[str, ...]) -> IO[bytes]:
    """The lines of a file, parsed, rendered and hashed, as a file of chunks; runs in a thread, beside the people who
    answer."""
    lines = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  (the caller closes it)
    read = (row if isinstance(row, Unreadable) else _read(row, tags) for row in read_rows(stream))
    for chunk in _in_chunks(read):
        pickle.dump(chunk, lines)
    lines.seek(0)
    return lines


def _in_chunks(lines: Iterable[Read | Unreadable | Line]) -> Iterator[list[Read | Unreadable | Line]]:
    chunk: list[Read | Unreadable | Line] = []
    letters = 0
    for line in lines:
        chunk.append(line)
        letters += sum(map(len, line.html)) if isinstance(line, Read) else 0
        if len(chunk) == CHUNK or letters > CHUNK_LETTERS:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


def _next_chunk(lines: IO[bytes]) -> list[Read | Unreadable | Line]:
    """The next chunk of what `_read_all` wrote; empty at the end."""
    try:
        return pickle.load(lines)  # type: ignore[no-any-return]  # noqa: S301  (our own file, and it has no name)
    except EOFError:
        return []


async def take_in_settled(session: AsyncSession, project_id: int, medium_id: int) -> None:
    """Bring in the lines that waited for this medium last; what became of them goes into their import's report."""
    project = await locked(session, project_id)
    for record, lines in await settled_lines(session, project_id, medium_id, "prompts"):
        report = Report.model_validate(record.report)
        report.settle({line.number for line in lines})
        read = [Line(line.number, prompt := NewPrompt.model_validate(line.value), _parts(prompt)) for line in lines]
        before = report.uses.get(Use.label, 0)
        whole = await _with_media(session, project, record, read, report)
        await _take_in(session, project, record.id, whole, report)
        record.report = report.model_dump(mode="json")
        await session.flush()
        if report.uses.get(Use.label, 0) > before:
            await enqueue(session, PromptsArrived(project_id=project.id))


async def take_in_one(session: AsyncSession, project: Project, value: dict[str, Any]) -> Report:
    """One prompt of text alone, which no file brought. project: locked."""
    report = Report()
    read = _read(Row(1, value), ())
    await _take_in(session, project, None, [read] if not isinstance(read, Illustrated) else [], report)
    return report


def _read(row: Row, tags: tuple[str, ...]) -> Read | Unreadable | Line:
    try:
        prompt = as_prompt(row.value)
    except ValueError as error:
        return Unreadable(row.number, str(error))
    if tags:
        prompt = prompt.model_copy(update={"tags": tuple(dict.fromkeys((*prompt.tags, *tags)))})
    if any(map(has_media, _parts(prompt))):
        return Line(row.number, prompt, _parts(prompt))
    return _ready(row.number, prompt, [render_markdown(text_of(parts)) for parts in _parts(prompt)])


def _parts(prompt: NewPrompt) -> list[list[dict[str, Any]]]:
    return [message["parts"] for message in prompt.messages]


def _ready(number: int, prompt: NewPrompt, html: list[str]) -> Read:
    found = newcomer(first_user_turn(prompt.messages), prompt.group, prompt.use)
    return Read(number, prompt, content_hash(prompt.messages), html, found)


async def _with_media(
    session: AsyncSession, project: Project, record: Import, chunk: Sequence[Read | Unreadable | Line], report: Report
) -> list[Read | Unreadable]:
    """The chunk with its media filled in, without the lines that have to wait."""
    held = [line for line in chunk if isinstance(line, Illustrated)]
    known, ready = await whose_media_are_here(session, record, held, report)
    address = address_of_media(project)
    drawn = await asyncio.to_thread(lambda: [_draw(line, known, address) for line in ready])
    return [line for line in chunk if not isinstance(line, Illustrated)] + drawn


def _draw(line: Line, known: dict[str, Known], address: str) -> Read | Unreadable:
    try:
        whole = [message | {"parts": filled(message["parts"], known)} for message in line.value.messages]
    except CannotStand as error:
        return Unreadable(line.number, str(error))
    html = [draw_parts(message["parts"], known, address) for message in whole]
    return _ready(line.number, line.value.model_copy(update={"messages": whole}), html)


async def _take_in(
    session: AsyncSession, project: Project, import_id: int | None, chunk: list[Read | Unreadable], report: Report
) -> None:
    """Store what is new in these lines and note what became of each."""
    good = [line for line in chunk if isinstance(line, Read)]
    for line in chunk:
        if isinstance(line, Unreadable):
            report.note(line.number, Outcome.refused, line.reason)
    good, care = _sensitive(good, project, report)
    new = await _sift(session, project.id, good, report)
    known = await _stands(session, project.id, new)
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


async def _stands(session: AsyncSession, project_id: int, lines: list[Read]) -> list[Stand]:
    """The roots that any of these lines could belong to."""
    keys = list({line.newcomer.key for line in lines})
    bands = list({band for line in lines for band in line.newcomer.bands})
    roots = await roots_near(session, project_id, keys, bands) if lines else []
    turns = await turns_of_roots(session, [root.id for root in roots]) if roots else {}
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
            made.append((stand, Root(project_id=project_id, **values)))
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
