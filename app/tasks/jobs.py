"""What tasks tell later chapters."""

from app.jobs.queue import Job


class QueueRanLow(Job):
    """Fewer tasks than the project's low-water mark have a free slot; more completions would make more tasks."""

    project_id: int


class RoomChanged(Job):
    """In a project with limits, slots were added or what was released is used up otherwise than it was meant."""

    project_id: int


class RoomWanted(Job):
    """Somebody found nothing free in a project with limits, while slots wait for room. lanes: where they looked."""

    project_id: int
    person_id: int
    lanes: list[int]


class RoundChanged(Job):
    """A round began to ask, or asks about more: answers that are there become its tasks."""

    batch_id: int


class RoundTurned(Job):
    """A round began to ask, or asks no more: its slots that nobody has are handed out, or rest."""

    batch_id: int


class PlacesChanged(Job):
    """A round or a tag asks other people, or in another order: slots that nobody has move."""

    project_id: int


class AnswersChanged(Job):
    """An answer to a task of this evaluation was edited or taken out, or the task wants another number of them."""

    evaluation_id: int
