"""What a dataset's lines come to, counted as they are written. Pure."""

from collections import Counter
from typing import Any

from app.datasets.rules import PAIRS, Line, holds_media


class Tally:
    """Sums up lines as they are written, for the manifest."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.media: Counter[str] = Counter()
        self.votes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.conclusions: Counter[str] = Counter()
        self.raters: Counter[str] = Counter()
        self.groups: set[str] = set()
        self.agreement = 0.0
        self.shared = 0
        self.settled = 0

    def add(self, line: Line, agreement: float) -> None:
        self.lines[line["split"]] += 1
        votes = line.get("votes", ())  # a demonstration has a writer and no votes
        self.votes[line["split"]] += len(votes)
        self.raters.update([line["writer"]] if "writer" in line else [])
        self.kinds[line["kind"]] += 1
        self.media.update([line["kind"]] if holds_media(line) else [])
        self.conclusions.update([line["conclusion"]] if "conclusion" in line else [])
        self.groups.add(line["group"])
        for vote in votes:
            self.outcomes.update([vote["outcome"]] if "outcome" in vote else [])
            self.raters[vote["rater"]] += 1
        is_settled = any(vote.get("adjudicated") for vote in votes)
        self.settled += is_settled
        if len(votes) > 1 and line["kind"] in PAIRS and not is_settled:
            self.agreement += agreement
            self.shared += 1

    def as_json(self) -> dict[str, Any]:
        """media: lines that hold any, by kind. agreement: mean over lines with several votes that no reviewer settled,
        None where none is."""
        return {
            "lines": dict(self.lines),
            "kinds": dict(self.kinds),
            "media": dict(self.media),
            "votes": dict(self.votes),
            "outcomes": dict(self.outcomes),
            "conclusions": dict(self.conclusions),
            "raters": dict(sorted(self.raters.items())),
            "prompt_groups": len(self.groups),
            "agreement": self.agreement / self.shared if self.shared else None,
            "lines_with_several_votes": self.shared,
            "lines_settled_by_reviewers": self.settled,
        }
