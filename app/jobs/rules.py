"""Who has a card (a GPU), where several workers compute on the same one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

QUIET = 30.0  # seconds without a request after which the sampler moves its weights off for a training


class Use(IntEnum):
    """What a card is wanted for; the smaller goes first."""

    talk = 1  # a person waits for the answer
    generation = 2
    training = 3


@dataclass(frozen=True)
class Card:
    """key: the card's own number, the same in every process, container and machine. name: what people call it."""

    key: str
    name: str


@dataclass(frozen=True)
class Bid:
    """What one living worker wants a card for; the one that is held has it."""

    holder: UUID
    use: Use
    is_held: bool = False


@dataclass(frozen=True)
class Standing:
    """has: the card is ours. ahead: what it is kept for, where it is not. waiting: the most important that waits for
    us, where it is."""

    has: bool
    ahead: Use | None = None
    waiting: Use | None = None


def first_of(bids: Sequence[Bid]) -> Bid | None:
    """Whose the card is: whoever has it, until they let it go; else the most important use, of these the bid that came
    first. bids: in the order in which they came."""
    return next((bid for bid in bids if bid.is_held), min(bids, key=lambda bid: bid.use, default=None))


def standing_of(bids: Sequence[Bid], holder: UUID) -> Standing:
    """How one of them stands."""
    first = first_of(bids)
    if first is None or first.holder != holder:
        return Standing(False, ahead=first.use if first else None)
    return Standing(True, waiting=min((bid.use for bid in bids if bid is not first), default=None))


def must_yield(use: Use | None, quiet: float, waiting: Use | None) -> bool:
    """Whether who has the card lets it go. use: what for, None where it only lies ready. quiet: seconds since then.

    Only for what is more important, so two never hand a card to and fro; a card that lies ready goes to a training
    when nobody has asked for a while, since weights that come back take their time.
    """
    if waiting is None:
        return False
    if use is None:
        return waiting is not Use.training or quiet >= QUIET
    return waiting < use
