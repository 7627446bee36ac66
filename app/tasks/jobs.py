"""What tasks tell later chapters."""

from app.jobs.queue import Job


class QueueRanLow(Job):
    """Fewer tasks than the project's low-water mark have a free slot; more completions would make more tasks."""

    project_id: int


class PlacesChanged(Job):
    """A round or a tag asks other people, or in another order: slots that nobody has move."""

    project_id: int


class AnswersChanged(Job):
    """An answer to a task of this evaluation was edited or taken out, or the task wants another number of them."""

    evaluation_id: int
