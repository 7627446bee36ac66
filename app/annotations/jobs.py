"""What the annotations chapter asks of workers."""

from typing import ClassVar

from app.jobs.queue import Job, Queue


class PromptWritten(Job):
    """Somebody wrote a prompt, changed it or took it back: the project's prompts are to say the same."""

    annotation_id: int


class ReworkAsked(Job):
    """Many answers are to be set aside, given back, or brought back."""

    is_given_up: ClassVar[bool] = False  # half done it could neither be ended nor undone
    rework_id: int


class ConsentWithdrawn(Job):
    """Somebody took their consent back, or a dataset was frozen while they did: datasets that hold labels of theirs are
    to be marked."""

    project_id: int
    person_id: int


class TurnAsked(Job):
    """Somebody who leads a conversation waits for answers: the sampler takes these before anything else."""

    queue: ClassVar[Queue] = Queue.talking
    is_given_up: ClassVar[bool] = False  # its handler tries longer than others, and says when it stops
    turn_id: int
