"""Work on completions, and what their arrival tells later chapters."""

from typing import ClassVar

from pydantic import Field

from app.jobs.queue import Job, Queue


class GenerateCompletions(Job):
    """Let a generation's checkpoint answer some of its prompts (inside ids)."""

    queue: ClassVar[Queue] = Queue.sampling
    generation_id: int
    prompt_ids: tuple[int, ...] = Field(min_length=1, max_length=64)


class CompletionsArrived(Job):
    """New answers to these prompts stand in the database. generation_id None: a file brought them.

    batch_id None: the project's default batch.
    """

    project_id: int
    generation_id: int | None = None
    batch_id: int | None = None
    prompt_ids: tuple[int, ...] = Field(min_length=1)
