"""Which root each new prompt stands under, so that no conversation, template or rewording is on two sides of a split.

Prompts of one group share the group's root. Others share a root with what they are near to. Near ones of different
groups keep their roots, but these are of one use and of one component, and splits go by that: a component is named by
the key of one of its roots, and one that a newcomer joins to an older one takes the older one's name.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.prompts.rules import NEAR, Turn, bands_of, group_key, nearness, turn_key, turn_of, words_of
from app.prompts.tables import Use
from app.translation import _


@dataclass
class Stand:
    """A root as placing sees it. id None: not stored yet. turns: its prompts' first user turns.

    component: the key of the root that names all that hang together with this one. opening: the words that it was made
    for, where no prompt says them.
    """

    key: str
    use: Use
    id: int | None = None
    turns: list[Turn] = field(default_factory=list)
    bands: set[int] = field(default_factory=set)
    grown: bool = False
    component: str = ""
    opening: str | None = None

    def __post_init__(self) -> None:
        self.component = self.component or self.key


@dataclass(frozen=True)
class Newcomer:
    """A prompt that looks for its root. use: what its file says, if anything."""

    key: str
    grouped: bool
    use: Use | None
    turn: Turn
    bands: tuple[int, ...]


class OnTwoSides(ValueError):
    """A prompt that cannot stand anywhere; the text says why."""


def newcomer(turn: str, group: str | None, use: Use | None) -> Newcomer:
    words = words_of(turn)
    found = turn_of(words)
    key = turn_key(words) if group is None else group_key(group)
    return Newcomer(key, group is not None, use, found, tuple(bands_of(found.triples)))


def place(newcomers: list[Newcomer], known: list[Stand], draw: Callable[[str], Use]) -> list[Stand | OnTwoSides]:
    """A root for every newcomer, in order: one of `known`, a new one, or why there is none.

    draw: the use of a root by its key, where neither a file nor a neighbour decides. Components that newcomers join are
    one afterwards, in `known` as well.
    """
    settled = Settled(known)
    wishes = _wishes(newcomers, known, draw)
    placed = [_settle(one, settled, wish) for one, wish in zip(newcomers, wishes, strict=True)]
    for stand in settled.by_key.values():
        stand.component = settled.component_of(stand)
    return placed


def components(known: list[Stand]) -> list[str]:
    """The component of each root from the nearness of all to all: the key of its oldest root (the first in `known`)."""
    leaders = _hanging_together([], known)
    names: dict[int, str] = {}
    for leader, stand in zip(leaders, known, strict=True):
        names.setdefault(leader, stand.key)
    return [names[leader] for leader in leaders]


class Settled:
    """The roots so far, found by key and by band."""

    def __init__(self, known: Iterable[Stand]) -> None:
        self.by_key: dict[str, Stand] = {}
        self.by_band: dict[int, list[Stand]] = defaultdict(list)
        self.heirs: dict[str, str] = {}  # a component that was joined to another: its new name
        self.ages: dict[str, int] = {}  # of components that are stored, the smallest id seen
        for stand in known:
            self.by_key[stand.key] = stand
            if stand.id is not None:
                self.ages[stand.component] = min(stand.id, self.ages.get(stand.component, stand.id))
            for band in stand.bands:
                self.by_band[band].append(stand)

    def neighbours(self, one: Newcomer) -> list[Stand]:
        """Roots that `one` belongs to or is near to, the nearest first."""
        found: dict[str, tuple[float, Stand]] = {}
        if one.key in self.by_key:
            found[one.key] = (2.0, self.by_key[one.key])
        for stand in {id(stand): stand for band in one.bands for stand in self.by_band.get(band, ())}.values():
            near = max((nearness(one.turn, turn) for turn in stand.turns), default=0.0)
            if near >= NEAR and stand.key not in found:
                found[stand.key] = (near, stand)
        return [stand for _near, stand in sorted(found.values(), key=lambda pair: -pair[0])]

    def component_of(self, stand: Stand) -> str:
        name = stand.component
        while name in self.heirs:
            name = self.heirs[name]
        return name

    def join(self, stands: Iterable[Stand]) -> None:
        """These hang together: their components are one, under the oldest one's name."""
        names = {self.component_of(stand) for stand in stands}
        heir = min(names, key=lambda name: (name not in self.ages, self.ages.get(name, 0), name))
        self.heirs |= dict.fromkeys(names - {heir}, heir)

    def add(self, stand: Stand, one: Newcomer) -> None:
        """`one` now stands under `stand`."""
        self.by_key[stand.key] = stand
        if one.turn not in stand.turns:
            stand.turns.append(one.turn)
        for band in set(one.bands) - stand.bands:
            stand.bands.add(band)
            stand.grown = True
            self.by_band[band].append(stand)


def _settle(one: Newcomer, settled: Settled, wish: Use) -> Stand | OnTwoSides:
    near = settled.neighbours(one)
    uses = {stand.use for stand in near}
    if len(uses) > 1:
        return OnTwoSides(
            _("it is nearly the same as prompts on two sides of the split ({uses})").format(
                uses=", ".join(sorted(uses))
            )
        )
    use = uses.pop() if uses else wish
    if one.use is not None and one.use != use:
        return OnTwoSides(
            _("its use is “{use}”, but prompts of the same root are “{other}”").format(use=one.use, other=use)
        )
    own = settled.by_key.get(one.key)
    stand = own or (near[0] if near and not one.grouped else Stand(one.key, use))
    settled.add(stand, one)
    settled.join([stand, *near])
    return stand


def _wishes(newcomers: list[Newcomer], known: list[Stand], draw: Callable[[str], Use]) -> list[Use]:
    """The use for each newcomer that has no neighbour yet: what hangs together in one file gets one use.

    The first known root of a component decides, else the first use that its lines name, else chance by the smallest
    key, so that the order of lines does not matter.
    """
    leaders = _hanging_together(newcomers, known)
    members: dict[int, list[int]] = defaultdict(list)
    for node, leader in enumerate(leaders):
        members[leader].append(node)
    uses: dict[int, Use] = {}
    for leader, nodes in members.items():
        old = [known[node].use for node in nodes if node < len(known)]
        new = [newcomers[node - len(known)] for node in nodes if node >= len(known)]
        said = [one.use for one in new if one.use is not None]
        uses[leader] = (old or said or [draw(min(one.key for one in new))])[0]
    return [uses[leader] for leader in leaders[len(known) :]]


def _hanging_together(newcomers: list[Newcomer], known: list[Stand]) -> list[int]:
    """Union-find over known roots (first) and newcomers: who shares a key or is near, in one component."""
    parent = list(range(len(known) + len(newcomers)))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    by_key: dict[str, int] = {}
    by_band: dict[int, list[int]] = defaultdict(list)
    turns: list[list[Turn]] = [stand.turns for stand in known] + [[one.turn] for one in newcomers]
    everyone: list[tuple[str, Iterable[int]]] = [(stand.key, stand.bands) for stand in known]
    everyone += [(one.key, one.bands) for one in newcomers]
    by_turn: dict[Turn, int] = {}
    for node, (key, bands) in enumerate(everyone):
        parent[find(node)] = find(by_key.setdefault(key, node))
        if len(turns[node]) == 1 and (twin := by_turn.setdefault(turns[node][0], node)) != node:
            parent[find(node)] = find(twin)  # a thousand prompts with one opening stand in the bands once
            continue
        for other in {other for band in bands for other in by_band.get(band, ())}:
            if find(other) != find(node) and _are_near(turns[node], turns[other]):
                parent[find(node)] = find(other)
        for band in bands:
            by_band[band].append(node)
    return [find(node) for node in range(len(parent))]


def _are_near(some: list[Turn], others: list[Turn]) -> bool:
    return any(nearness(one, other) >= NEAR for one in some for other in others)
