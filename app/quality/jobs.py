"""Work on what quality rests on."""

from typing import Any, ClassVar

from app.jobs.queue import Job, Queue


class ScoreAnswers(Job):
    """Let a reward model say what it thinks of answers that a round waits with, a few at a time.

    All inside ids. after: the last completion that was looked at. kept: scores so far.
    """

    queue: ClassVar[Queue] = Queue.sampling
    project_id: int
    batch_id: int
    checkpoint_id: int
    after: int = 0
    kept: int = 0

    @property
    def line(self) -> dict[str, Any]:
        """One after the other for a round, one waiting at most, behind prompts that wait for answers."""
        return {"lock": f"scores-{self.batch_id}", "once": f"scores-{self.batch_id}", "priority": -1}
