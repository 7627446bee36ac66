"""What the sampler does, in numbers: queue, speed, time to the first token, as Prometheus reads them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# upper bounds in seconds, of a person's patience and of a batch that must end first
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
WINDOW = 60.0  # seconds that tokens per second are reckoned over


class Meters:
    """Counted in the generating thread, read in any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._counts = {"answered": 0, "failed": 0, "prompt_tokens": 0, "generated_tokens": 0}
        self._steps: deque[tuple[float, int]] = deque()  # when, how many tokens
        self._waits = [0] * (len(BOUNDS) + 1)  # requests by time to first token, the last beyond all bounds
        self._waited = 0.0

    def began(self, seconds: float) -> None:
        """A request got its first token that long after it was asked."""
        with self._lock:
            self._waits[next((place for place, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += 1
            self._waited += seconds

    def drew(self) -> None:
        """A token more."""
        now = self.clock()
        with self._lock:
            self._counts["generated_tokens"] += 1
            if self._steps and now - self._steps[-1][0] < 1:  # one entry a second is enough
                self._steps[-1] = (self._steps[-1][0], self._steps[-1][1] + 1)
            else:
                self._steps.append((now, 1))
            self._forget(now)

    def ended(self, *, prompt_tokens: int = 0, failed: bool = False) -> None:
        """A request is over."""
        with self._lock:
            self._counts["failed" if failed else "answered"] += 1
            self._counts["prompt_tokens"] += prompt_tokens

    @property
    def tokens_per_second(self) -> float:
        """Over the last minute, or since the first token of it."""
        now = self.clock()
        with self._lock:
            self._forget(now)
            if not self._steps:
                return 0.0
            return sum(count for _, count in self._steps) / max(now - self._steps[0][0], 1.0)

    def _forget(self, now: float) -> None:
        while self._steps and now - self._steps[0][0] > WINDOW:
            self._steps.popleft()

    def numbers(self) -> dict[str, Any]:
        """For people and pages: counts, tokens per second, mean seconds to the first token (None before any)."""
        with self._lock:
            begun = sum(self._waits)
            first = self._waited / begun if begun else None
            counts = dict(self._counts)
        return counts | {"tokens_per_second": self.tokens_per_second, "seconds_to_first_token": first}

    def lines(self, gauges: Mapping[str, float]) -> Iterator[str]:
        """In Prometheus' text format. gauges: what is known elsewhere, by name."""
        numbers = self.numbers()
        for name, value in {**gauges, "tokens_per_second": numbers["tokens_per_second"]}.items():
            yield from _metric(name, "gauge", {"": value})
        for name in ("prompt_tokens", "generated_tokens"):
            yield from _metric(f"{name}_total", "counter", {"": numbers[name]})
        outcomes = {f'{{outcome="{name}"}}': numbers[name] for name in ("answered", "failed")}
        yield from _metric("requests_total", "counter", outcomes)
        with self._lock:
            waits, waited = list(self._waits), self._waited
        upto = {f'_bucket{{le="{bound:g}"}}': sum(waits[: place + 1]) for place, bound in enumerate(BOUNDS)}
        every = {'_bucket{le="+Inf"}': sum(waits), "_sum": waited, "_count": sum(waits)}
        yield from _metric("time_to_first_token_seconds", "histogram", upto | every)


def _metric(name: str, kind: str, values: dict[str, float]) -> Iterator[str]:
    yield f"# TYPE hone_sampler_{name} {kind}"
    for label, value in values.items():
        shown = f"{value:g}" if isinstance(value, float) else value
        yield f"hone_sampler_{name}{label} {shown}"
