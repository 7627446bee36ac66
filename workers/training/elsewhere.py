"""A server elsewhere that draws the answers PPO learns from.

Weights go there right before answers are drawn by them, once for each sampling. So whatever ended a run, it goes on by
bringing them again, and no answer is ever drawn by weights that merely happened to be there. The first process asks for
all of them.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from safetensors import SafetensorError

from app.training.configs import PPORun, RolloutServer
from workers.sampling.far import sample_far
from workers.sampling.remote import EndpointFailed, Remote
from workers.sampling.rows import Sampled
from workers.training.actors import Actors
from workers.training.bringing import Way, way_of
from workers.training.checkpoints import CheckpointRefused
from workers.training.drawn import sampling_of
from workers.training.processes import from_first
from workers.training.progress import RunFailed
from workers.training.tensors import seed_of

AT_ONCE = 64  # requests in flight, each one prompt's: our own door lets no more wait


class ServerLost(RunFailed):
    """No answers, or none that the policy's own weights drew. The state before them is saved."""


@dataclass
class Server:
    """life: so that no version of an earlier process is taken for one of this."""

    place: RolloutServer
    actors: Actors
    wires: Wires
    way: Way
    life: str = field(default_factory=lambda: secrets.token_hex(4))

    def draw(self, prompts: Sequence[list[int]], seeds: Sequence[int], n: int, step: int) -> list[Sampled]:
        """n answers to each prompt by the policy as it is now, which is that of `step`. The first process asks; what it
        is told, or why it is told nothing, arrives in all. Raises ServerLost."""
        return from_first(lambda: self._draw(prompts, seeds, n, step))

    def _draw(self, prompts: Sequence[list[int]], seeds: Sequence[int], n: int, step: int) -> list[Sampled]:
        version = f"step-{step}-{self.life}"
        try:
            endpoint = self.way.bring(version)
            if self.place.kind == "sglang":  # it draws n answers by one seed, which would be one answer n times
                seeds = [seed_of(seed, number) for seed in seeds for number in range(n)]
                prompts, n = [prompt for prompt in prompts for _ in range(n)], 1
            asking = sample_far(
                self.wires.remote,
                endpoint,
                prompts,
                sampling_of(self.actors.config),
                n=n,
                seeds=seeds,
                stop_ids=self.actors.opened.stop_ids,
                version=version if self.way.told else None,
            )
            answers = [answer for group in self.wires.wait(asking) for answer in group]
            self._must_be_ours(answers, version)
        except (EndpointFailed, CheckpointRefused, OSError, SafetensorError) as failure:  # the last: a full disk
            sentence = getattr(failure, "sentence", None) or f"The weights could not be written: {failure}."
            raise ServerLost(
                f"Step {step} has no answers: {sentence} The state is saved; the same run file goes on from it."
            ) from failure
        return answers

    def _must_be_ours(self, answers: list[Sampled], version: str) -> None:
        if not self.way.holds(version):
            raise EndpointFailed(f"{self.place.model} lost the weights: was it started anew?", retryable=False)
        most = self.actors.opened.network.get_input_embeddings().num_embeddings
        if any(not 0 <= token < most for answer in answers for token in answer.tokens):
            raise EndpointFailed(f"{self.place.model} draws tokens that the policy does not have.", retryable=False)


class Wires:
    """A client with a loop in a thread of its own: training is synchronous, and vLLM's side asks from threads."""

    def __init__(self, timeout: float) -> None:
        self.remote = Remote(timeout=timeout, at_once=AT_ONCE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rollouts", daemon=True)
        self._thread.start()

    def wait(self, asking: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()

    def close(self) -> None:
        self.wait(self.remote.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def server_of(run: PPORun, actors: Actors) -> Iterator[Server | None]:
    """The server that the run file names; None where answers are drawn here. Raises RunRefused."""
    if run.rollouts is None:
        yield None
        return
    wires = Wires(run.rollouts.timeout)
    try:
        yield Server(run.rollouts, actors, wires, way_of(run.rollouts, wires.remote, actors, wires.wait))
    finally:
        wires.close()
