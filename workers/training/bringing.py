"""How a step's weights get to the server that draws by them: one class for each way, each `bring` before a sampling.

Whose weights drew an answer is certain in each: an adapter's version is its name, which no other server or earlier
adapter answers to; whole weights carry theirs to the server, which tells it with the answers or on request.
"""

from __future__ import annotations

import importlib
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from torch import Tensor

from app.training.configs import RolloutServer, RunRefused
from workers.sampling.far import VLLM, SGLang
from workers.sampling.remote import Endpoint, EndpointFailed, Remote
from workers.training.actors import Actors
from workers.training.lending import replace_weights, write_adapter, write_checkpoint

Wait = Callable[[Coroutine[Any, Any, Any]], Any]
"""Does what is asynchronous, from any thread."""

OURS = re.compile(r"\.?step-\d+-[0-9a-f]{8}(\.partial)?")  # names of versions, and of one that is half written


class Way(ABC):
    """told: whether each answer says by which version it was drawn."""

    told: ClassVar[bool] = False

    @abstractmethod
    def bring(self, version: str) -> Endpoint:
        """The policy's weights as they are now, under that name; where to ask for answers by them."""

    def holds(self, version: str) -> bool:
        """Whether the server, asked after its answers, holds that version; where only it as a whole can say."""
        return True


@dataclass
class Adapters(Way):
    """An adapter for each version. The folder is this run's alone: what earlier versions left in it goes."""

    server: VLLM | SGLang
    folder: Path
    actors: Actors
    wait: Wait
    loaded: str | None = None

    def bring(self, version: str) -> Endpoint:
        write_adapter(self.folder / version, self.actors)
        self.wait(self.server.load_adapter(version, str(self.folder / version)))
        if self.loaded is not None:
            self.wait(self.server.unload_adapter(self.loaded))
        self.loaded = version
        tidy(self.folder, version)
        return self.server.with_adapter(version)


@dataclass
class Checkpoints(Way):
    """A whole checkpoint for each version, which SGLang reads in place of the one before."""

    server: SGLang
    folder: Path
    actors: Actors
    wait: Wait
    told: ClassVar[bool] = True

    def bring(self, version: str) -> Endpoint:
        write_checkpoint(self.folder / version, self.actors)
        self.wait(self.server.reload(str(self.folder / version), version))
        tidy(self.folder, version)
        return self.server.endpoint


@dataclass
class Watched(Way):
    """One checkpoint whose weights are replaced, which our own door notices."""

    endpoint: Endpoint
    folder: Path
    actors: Actors
    told: ClassVar[bool] = True

    def bring(self, version: str) -> Endpoint:
        replace_weights(self.folder, self.actors, version)
        return self.endpoint


@dataclass
class Transfers(Way):
    """Whole weights to vLLM by its own trainer side, which drives the four phases through `Phases` and sends over
    NCCL."""

    server: VLLM
    meet_at: str
    side: Any
    actors: Actors
    wait: Wait
    engine: Any = None
    phases: Phases = field(init=False)

    def __post_init__(self) -> None:
        self.phases = Phases(self.server, self.wait)

    def bring(self, version: str) -> Endpoint:
        try:
            self.engine = self.engine or self._meet()
            self.phases.version = version
            self.wait(self.server.pause())
            self.engine.send_weights()
            self.wait(self.server.resume())
        except EndpointFailed:
            raise
        except Exception as error:  # whatever NCCL or vLLM's side says
            raise EndpointFailed(f"The weights did not get to vLLM: {error}.", retryable=False) from error
        return self.server.endpoint

    def holds(self, version: str) -> bool:
        return bool(self.wait(self.server.version()) == version)

    def _meet(self) -> Any:
        host, _, port = self.meet_at.rpartition(":")
        size = 1 + self.wait(self.server.workers())
        place = self.side.NCCLTrainerInitInfo(master_address=host, master_port=int(port), world_size=size, rank=0)
        source = policy_source(self.side, self.actors)
        return self.side.WeightTransferTrainerFactory.trainer_init(init_info=place, client=self.phases, source=source)


@dataclass
class Phases:
    """What vLLM's trainer side asks of a client (its VLLMWeightSyncClient), from whichever thread: the four routes."""

    server: VLLM
    wait: Wait
    version: str = ""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self.wait(self.server.call("/init_weight_transfer_engine", {"init_info": init_info}))

    def start_weight_update(self) -> None:
        self.wait(self.server.call("/start_weight_update", {}))

    def update_weights(self, update_info: dict[str, Any]) -> None:
        self.wait(self.server.call("/update_weights", {"update_info": update_info}))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        body = {"weight_version": weight_version or self.version}
        self.wait(self.server.call("/finish_weight_update", body))


def policy_source(side: Any, actors: Actors) -> Any:
    """The policy's weights as vLLM's trainer side reads them, anew for each round (its WeightSource)."""

    class PolicySource(side.WeightSource):
        def metadata(self) -> list[Any]:
            return [side.ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self]

        def __iter__(self) -> Iterator[tuple[str, Tensor]]:
            yield from actors.policy_state().items()

    return PolicySource()


def way_of(place: RolloutServer, remote: Remote, actors: Actors, wait: Wait) -> Way:
    """Raises RunRefused: an address or a key that cannot be, or no vLLM here to send by."""
    try:
        endpoint = Endpoint(place.address, place.model, place.key_variable)
        _ = endpoint.key  # a missing one is told before anything is read
    except EndpointFailed as failure:
        raise RunRefused(f"rollouts: {failure.sentence}") from None
    folder = place.folder
    if folder is None:  # only where vLLM takes everything
        assert place.meet_at is not None
        return Transfers(VLLM(remote, endpoint), place.meet_at, trainer_side(), actors, wait)
    if place.kind == "hone":
        return Watched(endpoint, folder, actors)
    server = VLLM(remote, endpoint) if place.kind == "vllm" else SGLang(remote, endpoint)
    if isinstance(server, SGLang) and place.weights == "everything":
        return Checkpoints(server, folder, actors, wait)
    return Adapters(server, folder, actors, wait)


def trainer_side() -> Any:
    """What vLLM has for trainers, by name. Raises RunRefused where it is not installed."""
    try:
        found = [importlib.import_module(f"vllm.distributed.weight_transfer{part}") for part in ("", ".nccl_engine")]
    except ImportError as error:
        raise RunRefused(
            f"rollouts: whole weights go to vLLM by its own trainer side, which is not installed here ({error});"
            " weights adapter needs none."
        ) from None
    return SimpleNamespace(**{name: value for module in found for name, value in vars(module).items()})


def tidy(folder: Path, version: str) -> None:
    """Remove all versions but this one, also what a killed run left."""
    for place in folder.iterdir():
        if OURS.fullmatch(place.name) and place.name != version:
            shutil.rmtree(place, ignore_errors=True)
