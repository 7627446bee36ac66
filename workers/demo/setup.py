"""`hone demo`: a first project to look at, with the bundled checkpoint and 200 prompts. Loads no torch."""

import argparse
import asyncio
import io
import sys

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app import tables as _tables  # noqa: F401  (the whole schema is known before the first statement)
from app.accounts.actions.links import first_admin, make_sign_in_link
from app.checkpoints.actions import ensure_bundled
from app.completions.actions import ask
from app.completions.forms import GenerationForm
from app.projects.actions import count_projects, create_project
from app.projects.forms import NewProject
from app.projects.tables import Project
from app.prompts.actions import import_prompts
from app.prompts.tables import Use
from app.settings import address_of, get_settings
from workers.demo.prompts import DemoPrompt, demo_prompts

SHARES = {"label": 120, "train": 40, "heldout": 40}
GUIDELINES = """\
Read the question, then both answers to the end, then choose.

**Better** is an answer that

1. speaks about what was asked,
2. is whole: no step missing, no sentence broken off,
3. is friendly without overdoing it.

Longer is not better. When both are equally good, or equally poor in different ways, say that there is no difference.
When neither is of any use, say that both are bad.
"""


def chosen_prompts() -> list[DemoPrompt]:
    """The first prompts of each use, 200 in all."""
    left, chosen = dict(SHARES), []
    for prompt in demo_prompts():
        if left[prompt.use]:
            left[prompt.use] -= 1
            chosen.append(prompt)
    return chosen


def as_file(prompts: list[DemoPrompt]) -> io.BytesIO:
    """A prompt file, as anybody could import it."""
    return io.BytesIO(b"".join(orjson.dumps(prompt.line()) + b"\n" for prompt in prompts))


async def set_up(session: AsyncSession) -> Project | None:
    """The demo project, its prompts, and the request for first answers; None where there are projects already."""
    bundled = await ensure_bundled(session)
    if await count_projects(session):
        return None
    admin = await first_admin(session)
    form = NewProject(
        name="Demo", description="Two answers of a very small model to each question.", guidelines=GUIDELINES
    )
    project = await create_project(session, form, admin.id, bundled.id if bundled else None)
    await import_prompts(session, project.id, "demo", as_file(chosen_prompts()), admin.id)
    if bundled is not None:
        await ask(session, project.id, GenerationForm(use=Use.label, most=SHARES["label"], n=2), admin.id)
    return project


async def run(*, if_empty: bool, link: bool) -> None:
    async with database.transaction() as session:
        project = await set_up(session)
    if project is None and not if_empty:
        raise SystemExit("There are projects already; the demo is only for an empty installation.")
    if link:
        async with database.transaction() as session:
            path = await make_sign_in_link(session)
        sys.stdout.write(address_of(get_settings()) + path + "\n")
    await database.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="hone demo", description=__doc__)
    parser.add_argument("--if-empty", action="store_true", help="say nothing where there are projects already")
    parser.add_argument("--sign-in-link", action="store_true", help="then print a link that signs an admin in, once")
    told = parser.parse_args()
    asyncio.run(run(if_empty=told.if_empty, link=told.sign_in_link))


if __name__ == "__main__":
    main()
