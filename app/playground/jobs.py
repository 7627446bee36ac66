"""What the playground asks of workers."""

from typing import ClassVar

from app.jobs.queue import Job, Queue


class PlayAsked(Job):
    """Somebody at the playground waits for one checkpoint's answer: taken beside live conversations."""

    queue: ClassVar[Queue] = Queue.talking
    answer_id: int
