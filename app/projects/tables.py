"""One labelling effort: its settings, its protocol and guidelines (each versioned), and its rounds of collection."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now, of_project, outside_id, word

# Of a protocol's body: what its kind, or the kinds of its parts, cannot do without.
FEWEST = """CASE
    WHEN body @? '$.**.kind ? (@ == "comparison" || @ == "ranking")' THEN 2
    WHEN body @? '$.**.kind ? (@ == "rating" || @ == "rewrite")' THEN 1
    ELSE 0
END"""
DEFAULT_SPLIT = '{"label": 80, "train": 0, "heldout": 20}'


class ProjectState(StrEnum):
    open = "open"
    paused = "paused"
    archived = "archived"


class Project(Base):
    """secret keys the pseudonyms; version rises with every edit, so two editors notice each other.

    low_water: when fewer tasks than this are free, more completions are asked for.
    generation_limit: completions that may be asked for automatically, in all. split: `rules.Shares` of new prompts.
    consent_version: of the consent text that people agree to before their first task; empty: none is asked for.
    rules_version: of the newest guidelines that changed a rule, which people read before their next task; empty: none.
    care: categories of sensitive prompts (`care.Category`), a category's place is its bit; care_sets: the sets of them
    that its prompts carry. help: where people find help, in Markdown; help_html is rendered once, when stored.

    answers_a_day, answers_in_all, budget: how much is handed out at most; the budget in hundredths of `currency`, for
    what people are paid. is_limited: one of these, or a tag, has a bound, so slots wait until they are released
    (`tasks.actions.releasing`). has_rounds: somebody made a round beside the default one. pays: there are rates, so
    every answer gets a line in the ledger. gold_share: of the newest protocol, at hand for the hand-out.

    entrance: what newcomers answer first (`quality.entering.EntranceForm`); empty: nothing. argument_template: what is
    given as the argument where many tasks are argued at once.
    """

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint("daily_limit > 0", name="daily_limit"),
        CheckConstraint("edit_minutes >= 0", name="edit_minutes"),
        CheckConstraint("answers_a_day >= 0 AND answers_in_all >= 0 AND budget >= 0", name="limits"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="", default="")
    state: Mapped[ProjectState] = mapped_column(word(ProjectState), server_default="open", default=ProjectState.open)
    zone: Mapped[str] = mapped_column(server_default="UTC", default="UTC")
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id", use_alter=True))
    daily_limit: Mapped[int] = mapped_column(server_default="2000", default=2000)
    edit_minutes: Mapped[int] = mapped_column(server_default="60", default=60)
    low_water: Mapped[int] = mapped_column(server_default="40", default=40)
    generation_limit: Mapped[int] = mapped_column(server_default="2000", default=2000)
    split: Mapped[dict[str, Any]] = mapped_column(
        server_default=DEFAULT_SPLIT, default=lambda: json.loads(DEFAULT_SPLIT)
    )
    consent_version: Mapped[int | None]
    rules_version: Mapped[int | None]
    care: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    care_sets: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default="{}", default=list)
    help: Mapped[str] = mapped_column(server_default="", default="")
    help_html: Mapped[str] = mapped_column(server_default="", default="")
    answers_a_day: Mapped[int | None]
    answers_in_all: Mapped[int | None]
    budget: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(server_default="EUR", default="EUR")
    is_limited: Mapped[bool] = mapped_column(server_default="false", default=False)
    has_rounds: Mapped[bool] = mapped_column(server_default="false", default=False)
    pays: Mapped[bool] = mapped_column(server_default="false", default=False)
    gold_share: Mapped[float] = mapped_column(server_default="0", default=0.0)
    entrance: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    argument_template: Mapped[str] = mapped_column(server_default="", default="")
    version: Mapped[int] = mapped_column(server_default="1", default=1)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()


class Protocol(Base):
    """What is asked and on which scale (`protocols.ProtocolBody`); a change is a new version, answers keep theirs.

    fewest: how many answers a task must show for it: two to tell one from another, one to judge it by itself.
    Versions count from 1. Below are those that the project never asks by: 0 of evaluations, -1, -2 … of imported files.
    """

    __tablename__ = "protocols"
    __table_args__ = (UniqueConstraint("project_id", "version"), UniqueConstraint("project_id", "id"))
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    version: Mapped[int]
    body: Mapped[dict[str, Any]]
    fewest: Mapped[int] = mapped_column(SmallInteger, Computed(FEWEST))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()


class Change(StrEnum):
    """What new guidelines are to those who judge by them: the same in better words, of which nobody is told; the same
    made clearer, of which everybody is told; or another rule, which everybody reads before their next task."""

    wording = "wording"
    clarification = "clarification"
    rule = "rule"


class Guidelines(Base):
    """How to judge, in Markdown; html is rendered and sanitised once, when stored. change: from the version before."""

    __tablename__ = "guidelines"
    __table_args__ = (UniqueConstraint("project_id", "version"), UniqueConstraint("project_id", "id"))
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    version: Mapped[int]
    markdown: Mapped[str]
    html: Mapped[str]
    change: Mapped[Change] = mapped_column(word(Change), server_default="clarification", default=Change.clarification)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()


class ConsentText(Base):
    """What people agree to before their first task, in Markdown, by version; html is rendered once, when stored."""

    __tablename__ = "consent_texts"
    __table_args__ = (UniqueConstraint("project_id", "version"),)
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    version: Mapped[int]
    markdown: Mapped[str]
    html: Mapped[str]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()


class AboutYou(Base):
    """The form about people themselves that a project may offer, by version. body: a questions protocol, all of it
    about the task as a whole and nothing required; empty: the form was taken away."""

    __tablename__ = "about_you_forms"
    __table_args__ = (UniqueConstraint("project_id", "version"),)
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    version: Mapped[int]
    body: Mapped[dict[str, Any] | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()


class BatchState(StrEnum):
    draft = "draft"
    pilot = "pilot"
    open = "open"
    closed = "closed"
    accepted = "accepted"
    frozen = "frozen"

    @property
    def asks(self) -> bool:
        """Whether tasks are made for this round and their free slots handed out; what is held may be answered anyway.
        The hand-out names these states in its own words (`tasks.actions.hot`)."""
        return self in (BatchState.pilot, BatchState.open)


class Ordering(StrEnum):
    """Which task of a priority band comes first. fewest: that with the fewest answers, so all have one before any has
    two. informative: that whose answer would tell most about which answers people prefer (`quality.informing`); a fifth
    is drawn at random all the same."""

    random = "random"
    oldest = "oldest"
    fewest = "fewest"
    informative = "informative"


class Batch(Base):
    """One round of collection. protocol and guidelines empty: the project's newest when a task is shown.

    selection: which prompts (`batching.Selection`). recipe: which answers face which (`rules.Recipe`).
    k: answers wanted a task. most_k: where it is more, one answer more is asked for as long as a task's answers
    disagree. calibration: the share of tasks that everybody of the audience answers. audience empty: everybody's.
    target: tasks wanted, empty for no bound. pilot: of these, while it is a pilot. steps: the states it came to, each
    {state, at, by (inside id), report}; report: figures as they stood and were read then (`oversight.rounds`).
    version: counts the edits of what it asks, not its states.
    """

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        Index("uq_batches_default", "project_id", unique=True, postgresql_where=text("is_default")),
        of_project("protocols", "protocol_id"),
        of_project("guidelines", "guidelines_id"),
        of_project("audiences", "audience_id"),
        CheckConstraint("k BETWEEN 1 AND 50", name="k"),
        CheckConstraint("most_k BETWEEN 1 AND 50", name="most_k"),
        CheckConstraint("calibration BETWEEN 0 AND 1", name="calibration"),
        CheckConstraint("pilot >= 1", name="pilot"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    is_default: Mapped[bool] = mapped_column(server_default="false", default=False)
    state: Mapped[BatchState] = mapped_column(word(BatchState), server_default="open", default=BatchState.open)
    protocol_id: Mapped[int | None]
    guidelines_id: Mapped[int | None]
    selection: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    recipe: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    k: Mapped[int] = mapped_column(server_default="1", default=1)
    most_k: Mapped[int | None] = mapped_column(SmallInteger)
    calibration: Mapped[float] = mapped_column(server_default="0", default=0.0)
    ordering: Mapped[Ordering] = mapped_column(word(Ordering), server_default="random", default=Ordering.random)
    audience_id: Mapped[int | None]
    target: Mapped[int | None]
    pilot: Mapped[int] = mapped_column(server_default="50", default=50)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]", default=list)
    due_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1", default=1)
    created_at: Mapped[datetime] = now()

    @property
    def most_tasks(self) -> int | None:
        """How many tasks it makes in its state; None: as many as there are."""
        if self.state is BatchState.pilot:
            return self.pilot if self.target is None else min(self.pilot, self.target)
        return self.target


class TagRule(Base):
    """What a tag of prompts asks for beside what its round does. place: where several tags name an audience, the first
    decides; of k the largest counts, of bands the smallest. a_day, in_all: answers to such prompts that are handed out.
    """

    __tablename__ = "tag_rules"
    __table_args__ = (
        UniqueConstraint("project_id", "tag"),
        of_project("audiences", "audience_id"),
        CheckConstraint("k BETWEEN 1 AND 50", name="k"),
        CheckConstraint("band BETWEEN 0 AND 15", name="band"),
        CheckConstraint("a_day >= 0 AND in_all >= 0", name="limits"),
    )
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    place: Mapped[int] = mapped_column(SmallInteger)
    tag: Mapped[str]
    k: Mapped[int | None] = mapped_column(SmallInteger)
    audience_id: Mapped[int | None]
    band: Mapped[int | None] = mapped_column(SmallInteger)
    a_day: Mapped[int | None]
    in_all: Mapped[int | None]


class Rate(Base):
    """What an answer is worth from `starts_at` on, in hundredths of the project's currency. The nearest counts: of the
    person before the cohort before the project, of the kind before all kinds, and of these the newest.

    an_answer: for each; or a_minute: of active time, up to `most` an answer.
    """

    __tablename__ = "rates"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        CheckConstraint("(an_answer IS NULL) <> (a_minute IS NULL)", name="one_way"),
        CheckConstraint("(a_minute IS NULL) = (most IS NULL)", name="capped"),
        CheckConstraint("an_answer >= 0 AND a_minute >= 0 AND most >= 0", name="amounts"),
        CheckConstraint("annotator_id IS NULL OR cohort IS NULL", name="one_scope"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    cohort: Mapped[str | None]
    kind: Mapped[str | None]
    an_answer: Mapped[int | None]
    a_minute: Mapped[int | None]
    most: Mapped[int | None]
    starts_at: Mapped[datetime]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
