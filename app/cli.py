"""`hone …`: thin commands over the same actions as the pages."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from app import database, doctor, embedded, extras, importing, migrating, sealing, supervision
from app import tables as _tables  # noqa: F401  (the whole schema is known before the first statement)
from app.accounts.actions.links import make_sign_in_link
from app.errors import DomainError
from app.settings import Settings, address_of, get_settings, in_words, sources, unknown_names
from app.translation import _, language_of, reading
from app.unprivileged import CannotStart

app = typer.Typer(
    name="hone",
    help=_("Human feedback in one loop, and everything that runs it."),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Rest = Annotated[list[str] | None, typer.Argument(help="Handed on as it is.")]
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def main() -> None:
    """The program `hone`: what goes wrong in a foreseen way is a sentence and exit status 1."""
    try:
        with reading(language_of(os.environ)):
            app()
    except ValidationError as error:
        sys.exit(in_words(error))
    except (CannotStart, DomainError) as error:
        sys.exit(str(error))


def become(*words: str) -> NoReturn:
    """Replace this program by another, so that signals and exit status are the other's own."""
    sys.stdout.flush()
    os.execv(words[0], words)  # noqa: S606 (our own words)


@contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """The address of the database, for a short errand: the embedded Postgres is started for it if need be."""
    if settings.database_url:
        yield database.database_url()
        return
    with embedded.borrowed(settings.home):
        yield database.database_url()


@app.command()
def up(
    install: Annotated[bool, typer.Option(help="Install torch in the background when it is missing.")] = False,
) -> None:
    """Start everything on this machine; Ctrl-C stops it."""
    become(sys.executable, "-m", "app.supervision", *(["--install"] if install else []))


@app.command()
def web() -> None:
    """Start the web server alone."""
    settings = get_settings()
    port = supervision.choose_port(settings.host, settings.port, "HONE_PORT")
    become(*supervision.web_words(port))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    with database_of(get_settings()) as url:
        migrating.migrate(url)


@app.command(name="sign-in-link")
def show_sign_in_link() -> None:
    """Print a link that signs an admin in, once."""
    settings = get_settings()
    with database_of(settings):
        print(address_of(settings) + asyncio.run(_sign_in_path()))


async def _sign_in_path() -> str:
    async with database.transaction() as session:
        path = await make_sign_in_link(session)
    await database.dispose()
    return path


@app.command(name="doctor")
def show_health() -> None:
    """Show every setting with its source, and what this machine lacks."""
    settings = get_settings()
    shown = list(sources(settings))
    width = max(len(source.name) for source in shown)
    for source in shown:
        print(f"{source.name:<{width}}  {source.value or '-':<28}  {source.origin}")
    for name in unknown_names():
        print(_("{name} is not a setting of Hone; is it misspelt?").format(name=name))
    print()
    findings = list(doctor.examine(settings))
    for finding in findings:
        mark = _("ok") if finding.well else _("FAULT") if finding.needed else _("note")
        print(f"{mark:<5}  {finding.about}: {finding.sentence}")
    if any(finding.needed and not finding.well for finding in findings):
        raise typer.Exit(1)


@app.command()
def verify() -> None:
    """Follow the sealed log of events, and name every row that was edited, taken out or slipped in."""
    with database_of(get_settings()):
        found = asyncio.run(_verified())
    told = _("{events} events in {segments} sealed segments, {open} not sealed yet.")
    print(told.format(events=found.events, segments=found.segments, open=found.open))
    for fault in found.faults:
        print(_(FAULTS[fault.what]).format(number=fault.event))
    if found.faults:
        raise typer.Exit(1)
    print(_("The chain holds. Its newest link is {digest}.").format(digest=found.digest or "-"))


FAULTS = {
    "edited": _("Event {number} was edited."),
    "missing": _("Event {number} was taken out."),
    "added": _("Event {number} was slipped in after its segment was sealed."),
    "broken": _("Segment {number} does not hold: its seal is not ours."),
}


async def _verified() -> sealing.Verified:
    async with database.transaction() as session:
        found = await sealing.verify(session)
    await database.dispose()
    return found


@app.command(context_settings=PASS_ON)
def demo(rest: Rest = None) -> None:
    """Set up the demo project: the bundled checkpoint, 200 prompts, first answers asked for."""
    with database_of(get_settings()):
        done = subprocess.run([sys.executable, "-m", "workers.demo.setup", *(rest or [])], check=False)  # noqa: S603
    raise typer.Exit(done.returncode)


@app.command(name="import")
def bring_file(
    project: Annotated[str, typer.Argument(help="Its name or id.")],
    file: Annotated[Path, typer.Argument(help="JSONL, or a JSON array.")],
    answers: Annotated[bool, typer.Option(help="The file holds ready-made answers, not prompts.")] = False,
    dataset: Annotated[bool, typer.Option(help="The file holds labelled data, as exports have it.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only report what would become of it.")] = False,
) -> None:
    """Import prompts, answers to them, or labelled data; every line that does not come in is told of."""
    if answers and dataset:
        raise typer.BadParameter(_("A file holds either answers or a dataset."))
    what = importing.Subject.answers if answers else importing.Subject.dataset if dataset else importing.Subject.prompts
    with database_of(get_settings()):
        report = asyncio.run(importing.bring(project, file, what, dry_run=dry_run))
    print("\n".join(importing.in_lines(report)))


def hand_on(module: str, *words: str) -> NoReturn:
    """Become a program that needs torch, or name the extra that brings it."""
    absent = extras.missing("train")
    if absent:
        sentence = _("This needs {names}: pip install 'hone[train]'")
        raise CannotStart(sentence, names=", ".join(absent))
    become(sys.executable, "-m", module, *words)


@app.command(context_settings=PASS_ON)
def train(rest: Rest = None) -> None:
    """Train from files, without a database: sft|reward|dpo|ppo|best …; export … writes a run for OpenRLHF or verl;
    without words, the trainer of the queue."""
    if rest:
        hand_on("workers.training", *rest)
    hand_on("workers", "train")


@app.command(context_settings=PASS_ON)
def sample(rest: Rest = None) -> None:
    """Answer the prompts of a file: FOLDER prompts.jsonl; without words, the sampler of the queue and its door."""
    if rest:
        hand_on("workers.sampling", "sample", *rest)
    hand_on("workers", "sample")


@app.command(context_settings=PASS_ON)
def chat(rest: Rest = None) -> None:
    """Talk with a checkpoint at the terminal: FOLDER."""
    hand_on("workers.sampling", "chat", *(rest or []))


@app.command(context_settings=PASS_ON)
def serve(rest: Rest = None) -> None:
    """Answer for a checkpoint at an address of this machine, without a database: FOLDER --port 8766."""
    hand_on("workers.sampling", "serve", *(rest or []))


@app.command(context_settings=PASS_ON)
def score(rest: Rest = None) -> None:
    """Judge the answers of a file by a reward model: FOLDER answers.jsonl --base FOLDER."""
    hand_on("workers.sampling", "score", *(rest or []))


if __name__ == "__main__":
    main()
