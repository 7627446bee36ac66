"""PPO whose answers a server elsewhere draws: by the policy's own weights, or not at all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from transformers import GPT2Config, GPT2LMHeadModel

from app.training.configs import BestRun, PPORun, RolloutServer, RunRefused, first_complaint
from tests.training.conftest import make_checkpoint, make_tokenizer
from tests.training.far_servers import START, FarServer, reached, with_vllm
from tests.training.rolling import changed, rolled, steps_and_values
from tests.training.test_processes import same_lines, same_weights, side_by_side
from workers.training import bringing, elsewhere, figures, ppo
from workers.training.actors import Actors, open_actors
from workers.training.checkpoints import CheckpointRecord, CheckpointRefused, open_checkpoint, save_checkpoint
from workers.training.elsewhere import ServerLost
from workers.training.lending import replace_weights, write_adapter
from workers.training.ppo import train_ppo

ROOT = Path(__file__).parents[2]
STRONG = {"lr": 3e-2, "kl_target": None, "kl_budget": None, "max_step_kl": None}  # weights that a step really moves


@pytest.fixture(autouse=True)
def few_to_look_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "END_LOOK", 8)


def far(run: PPORun, kind: str, weights: str, name: str = "far", **place: Any) -> PPORun:
    """The run with that server, into another output; its folder is `shared` beside it."""
    told = {"kind": kind, "weights": weights, "address": "http://stand.in:8000/v1", "model": START, **place}
    if (kind, weights) == ("vllm", "everything"):
        told["meet_at"] = "10.0.0.7:29500"
    else:
        told.setdefault("folder", run.output.with_name("shared"))
    return run.model_copy(update={"rollouts": RolloutServer(**told), "output": run.output.with_name(name)})


def same_metrics(one: PPORun, two: PPORun) -> None:
    """All that both tell; only the one with a server tells of a gap."""
    for (step, mine), (again, theirs) in zip(steps_and_values(one), steps_and_values(two), strict=True):
        assert step == again
        shared = mine.keys() & theirs.keys()
        assert mine.keys() ^ theirs.keys() <= {"sampler_gap", "sampler_kl"}
        assert {name: mine[name] for name in shared} == pytest.approx(
            {name: theirs[name] for name in shared}, rel=1e-3, abs=1e-4
        )


def gaps(run: PPORun) -> list[float]:
    return [values["sampler_gap"] for _, values in steps_and_values(run) if "sampler_gap" in values]


# ---- vLLM and SGLang, as their documentation has them


def test_adapters_at_vllm_draw_what_the_policy_would_have_drawn_here(
    run: PPORun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step's adapter goes there under a name of its own, then the one before is let go, then answers are asked for
    by that name; the run is the one that draws here."""
    here = changed(run, batch=8, samples_per_prompt=2, **STRONG)
    there = far(here, "vllm", "adapter")
    server = FarServer("vllm", run.checkpoint)
    reached(monkeypatch, server)
    train_ppo(here)
    train_ppo(there)
    same_metrics(there, here)
    load, unload, ask = "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/completions"
    assert server.routes == [load, ask, load, unload, ask, load, unload, ask]
    names = server.asked("/load_lora_adapter", "lora_name")
    assert [name.rpartition("-")[0] for name in names] == ["step-1", "step-2", "step-3"]
    assert server.asked("/unload_lora_adapter", "lora_name") == names[:2]
    assert server.asked("/load_lora_adapter", "lora_path") == [str(tmp_path / "shared" / name) for name in names]
    assert server.asked("/completions", "model") == [name for name in names for _ in range(4)]
    assert {body["n"] for route, body in server.calls if route == ask} == {2}
    assert [place.name for place in (tmp_path / "shared").iterdir()] == names[2:]
    assert max(gaps(there)) < 1e-5
    assert len(gaps(there)) == 3


def test_weights_go_once_a_sampling_and_later_steps_learn_from_stale_answers(
    run: PPORun, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = changed(run, steps=3, sample_every=2, **STRONG)
    there = far(here, "vllm", "adapter")
    server = FarServer("vllm", run.checkpoint)
    reached(monkeypatch, server)
    train_ppo(here)
    train_ppo(there)
    same_metrics(there, here)
    assert [name[:6] for name in server.asked("/load_lora_adapter", "lora_name")] == ["step-1", "step-3"]
    assert [values["staleness"] for _, values in steps_and_values(there)] == [0, 1, 0]
    assert len(gaps(there)) == 2  # of answers that are of this very policy


@pytest.mark.parametrize("weights", ["adapter", "everything"])
def test_sglang_takes_adapters_and_whole_checkpoints(
    run: PPORun, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer has a seed of its own, for n answers by one seed are one there."""
    run = changed(run, steps=2, samples_per_prompt=2, **STRONG)
    there = far(run, "sglang", weights)
    server = FarServer("sglang", run.checkpoint)
    reached(monkeypatch, server)
    train_ppo(there)
    ask = "/v1/completions"
    if weights == "adapter":
        load, unload = "/load_lora_adapter", "/unload_lora_adapter"
        assert server.routes == [load, ask, load, unload, ask]
        names = server.asked(load, "lora_name")
        assert server.asked(ask, "model") == [f"{START}:{name}" for name in names for _ in range(8)]
    else:
        bring = ["/pause_generation", "/update_weights_from_disk", "/continue_generation"]
        assert server.routes == [*bring, ask, *bring, ask]
        names = server.asked("/update_weights_from_disk", "weight_version")
        assert server.asked("/update_weights_from_disk", "model_path") == [
            str(tmp_path / "shared" / name) for name in names
        ]
        assert set(server.asked(ask, "model")) == {START}
    assert [name[:6] for name in names] == ["step-1", "step-2"]
    assert [place.name for place in (tmp_path / "shared").iterdir()] == names[1:]
    seeds = server.asked(ask, "seed")
    assert len(set(seeds)) == len(seeds) == 16
    assert max(gaps(there)) < 1e-5


def test_whole_weights_at_vllm_go_by_its_own_trainer_side_while_it_pauses(
    run: PPORun, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = changed(run, steps=2, tuning="full", **STRONG)
    there = far(here, "vllm", "everything")
    server = FarServer("vllm", run.checkpoint)
    reached(monkeypatch, server)
    with pytest.raises(RunRefused, match="not installed here"):
        train_ppo(there)
    with_vllm(monkeypatch, server)
    train_ppo(here)
    train_ppo(there)
    same_metrics(there, here)
    join = ["/get_world_size", "/init_weight_transfer_engine"]
    bring = [
        "/pause?mode=keep", "/start_weight_update", "/update_weights", "/finish_weight_update", "/reset_prefix_cache",
        "/resume", "/v1/completions", "/weight_info",
    ]  # fmt: skip
    assert server.routes == [*join, *bring, *bring]
    met = {"master_address": "10.0.0.7", "master_port": 29500, "rank_offset": 1, "world_size": 2}
    assert server.asked("/init_weight_transfer_engine", "init_info") == [met]
    assert [version[:6] for version in server.asked("/finish_weight_update", "weight_version")] == ["step-1", "step-2"]
    assert max(gaps(there)) < 1e-5


# ---- what breaks


def learned_until(run: PPORun) -> int:
    """The last step of the state that was left behind."""
    with safe_open(run.work / "state.safetensors", "pt") as stream:
        return int(json.loads(stream.metadata()["values"])["standing"]["step"])


@pytest.mark.parametrize(
    ("kind", "weights", "breaks"),
    [
        ("vllm", "adapter", "/v1/load_lora_adapter"),
        ("vllm", "adapter", "/v1/unload_lora_adapter"),
        ("vllm", "adapter", "/v1/completions"),
        ("vllm", "everything", "/update_weights"),
        ("sglang", "everything", "/update_weights_from_disk"),
    ],
)
def test_a_push_that_breaks_in_the_middle_ends_the_run_and_loses_nothing(
    run: PPORun, kind: str, weights: str, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the second step; the state is written although none was due. The same run file brings the weights again before
    anything is drawn, and is the run that nothing happened to."""
    run = changed(run, steps=3, save_every=50, **STRONG)
    whole, cut = (far(run, kind, weights, name) for name in ("whole", "cut"))
    server = FarServer(kind, run.checkpoint)
    reached(monkeypatch, server)
    with_vllm(monkeypatch, server)
    train_ppo(whole)
    server.start()

    def break_at_two(step: int, *_: object) -> None:
        if step == 1:
            server.refuses[breaks] = 500

    with pytest.raises(ServerLost, match=r"Step 2 has no answers: .*no room.* goes on from it\."):
        train_ppo(cut, break_at_two)
    assert learned_until(cut) == 1
    assert server.paused == (breaks == "/update_weights")  # half of each weights must not answer
    server.refuses.clear()
    server.calls.clear()
    server.wire = type(server.wire)()
    train_ppo(cut)
    assert server.routes[0] != "/v1/completions"
    same_metrics(cut, whole)
    same_weights(whole.output, cut.output)


@pytest.mark.parametrize(
    ("kind", "weights", "said"),
    [
        ("vllm", "adapter", "does not know 'step-2-"),
        ("sglang", "adapter", "does not know 'start:step-2-"),
        ("sglang", "everything", "answers with weights 'default', not 'step-2-"),
        ("vllm", "everything", "start lost the weights"),
    ],
)
def test_a_server_that_was_started_anew_never_answers_for_the_policy(
    run: PPORun, kind: str, weights: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between taking the weights and answering it forgets them; what it then says is not learned from."""
    there = far(changed(run, **STRONG), kind, weights)
    server = FarServer(kind, run.checkpoint)
    reached(monkeypatch, server)
    with_vllm(monkeypatch, server)
    with pytest.raises(ServerLost, match=said):
        train_ppo(there, lambda *_: setattr(server, "forgets", True))
    assert len(steps_and_values(there)) == 1


def test_answers_of_old_weights_show_as_a_gap(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the first adapter kept there in place of each new one, sampler and trainer drift apart, and the
    figures that were 0 say so."""
    there = far(changed(run, **STRONG), "vllm", "adapter")
    server = FarServer("vllm", run.checkpoint)
    reached(monkeypatch, server)
    bring, first = bringing.Adapters.bring, []

    def only_once(self: bringing.Adapters, version: str) -> Any:
        first[:] = first or [bring(self, version)]
        return first[0]

    monkeypatch.setattr(bringing.Adapters, "bring", only_once)
    train_ppo(there)
    told = [values for _, values in steps_and_values(there)]
    assert told[0]["sampler_gap"] < 1e-5
    assert told[1]["sampler_gap"] > 1e-2
    assert told[2]["sampler_gap"] > told[1]["sampler_gap"]
    assert told[2]["sampler_kl"] > told[1]["sampler_kl"] > 1e-4 > told[0]["sampler_kl"]
    assert [values["first_ratio"] for values in told] == pytest.approx([1, 1, 1], abs=1e-5)


# ---- our own door


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A door of its own process over a folder that is not there yet: what the run file must say of it."""
    home = tmp_path_factory.mktemp("door")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(home / "policy"), "--port", str(port), "--token", str(home), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, "-m", "workers.sampling", *words], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
            break
        except httpx.TransportError:
            time.sleep(0.1)
    else:
        child.kill()
        child.wait()
        pytest.fail("the door did not come up")
    os.environ["HONE_TEST_DOOR"] = (home / "sampler.token").read_text().strip()
    yield {
        "folder": home / "policy",
        "model": "policy",
        "address": f"http://127.0.0.1:{port}/v1",
        "key_variable": "HONE_TEST_DOOR",
    }
    del os.environ["HONE_TEST_DOOR"]
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0


def at_door(run: PPORun, door: dict[str, Any], name: str = "far") -> PPORun:
    return far(run, "hone", "everything", name, **door)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_our_own_door_draws_each_step_by_its_weights(run: PPORun, tuning: str, door: dict[str, Any]) -> None:
    """A real one over loopback, from a folder whose weights the run replaces: the run is the one that draws here."""
    here = changed(run, tuning=tuning, samples_per_prompt=2, **STRONG)
    there = at_door(here, door)
    train_ppo(here)
    train_ppo(there)
    same_metrics(there, here)
    assert len(gaps(there)) == 3
    assert max(gaps(there)) < 1e-5
    served, kept = open_checkpoint(door["folder"]), open_checkpoint(there.output)
    assert served.version.startswith("step-3-")
    assert kept.version == ""
    assert not torch.equal(*(one.network.get_input_embeddings().weight for one in (served, kept))) or tuning == "lora"


def test_a_door_that_got_no_new_weights_ends_the_run(
    run: PPORun, door: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the pushing off after the first step, its answers say whose they are and are not taken; where
    nobody asks that either, the gap grows."""
    run, pushed = changed(run, **STRONG), []

    def only_once(folder: Path, actors: Actors, version: str) -> None:
        if not pushed:
            replace_weights(folder, actors, version)
        pushed.append(version)

    monkeypatch.setattr(bringing, "replace_weights", only_once)
    monkeypatch.setattr("workers.sampling.remote.LONGEST_PAUSE", 0.0)
    with pytest.raises(ServerLost, match=r"Step 2 has no answers: policy answers with weights 'step-1-\w+', not"):
        train_ppo(at_door(run, door))
    pushed.clear()
    monkeypatch.setattr(bringing.Watched, "told", False)
    unguarded = at_door(run, door, "unguarded")
    train_ppo(unguarded)
    first, *later = gaps(unguarded)
    assert first < 1e-5
    assert min(later) > 1e-2


def test_a_run_that_was_killed_brings_its_weights_again(run: PPORun, door: dict[str, Any], tmp_path: Path) -> None:
    """kill -9 in the middle, then the same run file: the same numbers as those of a run that draws here."""
    here = changed(run, steps=8, save_every=2, sample_every=3)
    cut = at_door(here, door, "cut")
    train_ppo(here)
    file = tmp_path / "run.json"
    file.write_text(cut.model_dump_json(exclude={"method"}))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "workers.training", "ppo", str(file)]
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    metrics, deadline = cut.work / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not cut.output.exists(), "the run was over before it could be killed"
    train_ppo(cut)
    same_metrics(cut, here)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a process that has met a GPU cannot be forked")
def test_of_two_processes_the_first_asks_for_both(run: PPORun, door: dict[str, Any], tmp_path: Path) -> None:
    """They make the update of one; where the server is gone, both end by the same sentence, behind the state."""
    one = at_door(changed(run, steps=2, **STRONG), door, "one")
    two = one.model_copy(update={"output": tmp_path / "two"})
    train_ppo(one)
    assert side_by_side(lambda: train_ppo(two) and 0) == [0, 0]
    same_weights(one.output, two.output)
    same_lines(one, two)
    gone = at_door(one, {**door, "address": "http://127.0.0.1:9/v1"}, "gone")

    def lost() -> int:
        elsewhere.Remote.__init__.__kwdefaults__["tries"] = 1
        try:
            train_ppo(gone)
        except ServerLost as failure:
            return 5 if "cannot be reached" in failure.sentence else 6
        return 0

    assert side_by_side(lost) == [5, 5]
    assert learned_until(gone) == 0


def test_a_folder_that_holds_something_else_is_never_written_over(run: PPORun, door: dict[str, Any]) -> None:
    before = open_checkpoint(run.checkpoint).weights_sha256
    careless = at_door(run, {**door, "folder": run.checkpoint})
    with pytest.raises(ServerLost, match="holds something else"):
        train_ppo(careless)
    assert open_checkpoint(run.checkpoint).weights_sha256 == before


def test_a_folder_of_another_starts_rollouts_is_not_written_over(run: PPORun, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    one, _ = open_actors(run)
    replace_weights(folder, one, "step-1-00000000")
    base = make_checkpoint(tmp_path / "other", seed=3)
    other, _ = open_actors(run.model_copy(update={"checkpoint": base, "reward_base": run.checkpoint}))
    with pytest.raises(CheckpointRefused, match="began from another checkpoint"):
        replace_weights(folder, other, "step-1-ffffffff")
    assert open_checkpoint(folder).version == "step-1-00000000"


def test_a_full_disk_ends_the_run_behind_its_state(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    """As safetensors says it, which is no OSError."""

    def full(*_: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    there = far(run, "vllm", "adapter")
    reached(monkeypatch, FarServer("vllm", run.checkpoint))
    monkeypatch.setattr("workers.training.lending.save_file", full)
    with pytest.raises(ServerLost, match=r"could not be written: .*No space left.* goes on from it\."):
        train_ppo(there)
    assert learned_until(there) == 0


# ---- files


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_adapter_is_pefts(run: PPORun, family: str, tmp_path: Path) -> None:
    """Loaded by peft itself on the same base: its logits are ours."""
    if family == "gpt2":
        tokenizer = make_tokenizer()
        ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": tokenizer.pad_token_id}
        network = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, **ends))
        save_checkpoint(tmp_path / "gpt2", network, tokenizer, CheckpointRecord(kind="base"))
        config = {**run.config.model_dump(), "rules": [{"kind": "length"}]}
        run = PPORun(checkpoint=tmp_path / "gpt2", prompts=run.prompts, output=run.output, device="cpu", config=config)
    run = changed(run, rank=3, scale=7.5)
    actors, _ = open_actors(run)
    with torch.no_grad():
        for tensor in actors.policy_weights().values():
            tensor.add_(torch.randn_like(tensor) * 0.2)
    write_adapter(tmp_path / "adapter", actors)
    base = open_checkpoint(run.checkpoint)
    ids = torch.tensor([[5, 9, 30, 31, 7, 2]])
    before = base.network(ids).logits
    theirs = PeftModel.from_pretrained(base.network, tmp_path / "adapter")
    with actors.policy.using(actors.policy_adapter), torch.no_grad():
        ours = actors.policy.network(ids).logits
    assert torch.allclose(theirs(ids).logits, ours, atol=1e-5)
    assert not torch.allclose(before, ours, atol=1e-2)


def test_half_a_version_and_older_ones_go(run: PPORun, tmp_path: Path) -> None:
    actors, _, _ = rolled(run)
    for name in ("step-3-0a1b2c3d", ".step-4-0a1b2c3d.partial", "mine"):
        (tmp_path / "shared" / name).mkdir(parents=True)
    write_adapter(tmp_path / "shared" / "step-4-ffffffff", actors)
    bringing.tidy(tmp_path / "shared", "step-4-ffffffff")
    assert sorted(place.name for place in (tmp_path / "shared").iterdir()) == ["mine", "step-4-ffffffff"]


# ---- run files


@pytest.mark.parametrize(
    ("place", "config", "sentence"),
    [
        ({"kind": "hone", "folder": "/s"}, {}, "weights must be everything"),
        ({"folder": "s"}, {}, "folder must be absolute"),
        ({}, {}, "folder is where the weights are written"),
        ({"weights": "everything", "folder": "/s"}, {}, "meet_at belongs to"),
        ({"weights": "everything", "meet_at": "here"}, {}, "rollouts.meet_at"),
        ({"folder": "/s", "address": "ftp://a"}, {}, "rollouts.address"),
        ({"folder": "/s", "password": "a"}, {}, "rollouts.password is not a field"),
        ({"folder": "/s"}, {"tuning": "full"}, "tuning full has no adapter"),
        ({"folder": "/s", "sharding": "full"}, {}, "with sharding no process holds one"),
        ({"folder": "/o/out"}, {}, "must be apart from output"),
        ({"folder": "/o/out/shared"}, {}, "must be apart from output"),
        ({"folder": "/o/out.run"}, {}, "must be apart from output"),
        ({"folder": "/o"}, {}, "must be apart from output"),
        (
            {"weights": "everything", "meet_at": "h:1"},
            {"base_precision": "bfloat16"},
            "rollouts.weights must be adapter",
        ),
    ],
)
def test_a_place_that_cannot_be_is_refused(place: dict[str, Any], config: dict[str, Any], sentence: str) -> None:
    sharding = {name: place[name] for name in place if name == "sharding"}  # a field of the run, not of the place
    server = {"kind": "vllm", "address": "http://a/v1", "model": "m", **place}
    content = {
        "checkpoint": "base", "output": "/o/out", "prompts": "p", "reward": "r", "config": config, **sharding,
        "rollouts": {name: server[name] for name in server if name not in sharding},
    }  # fmt: skip
    with pytest.raises(ValidationError) as refused:
        PPORun.model_validate(content)
    assert sentence in first_complaint(refused.value)


def test_best_of_n_and_configs_name_no_server(run: PPORun) -> None:
    place = {"kind": "sglang", "address": "http://a/v1", "model": "m", "folder": "/s"}
    with pytest.raises(ValueError, match="rollouts is of PPO alone"):
        BestRun.model_validate({**run.model_dump(exclude={"method"}), "rollouts": place,
                                "config": {**run.config.model_dump(), "samples_per_prompt": 2}})  # fmt: skip
    with pytest.raises(ValueError, match="Extra inputs"):
        changed(run, rollouts=place)


def test_a_key_that_is_not_there_is_told_before_anything_is_asked(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the reference neither."""
    monkeypatch.setattr(ppo, "begin", lambda *_: pytest.fail("the reference was asked"))
    with pytest.raises(RunRefused, match="not installed here"):
        train_ppo(far(run, "vllm", "everything"))
    with pytest.raises(RunRefused, match="HONE_NO_SUCH_KEY"):
        train_ppo(far(run, "vllm", "adapter", key_variable="HONE_NO_SUCH_KEY"))


def test_tokens_that_the_policy_does_not_have_are_refused(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FarServer("vllm", run.checkpoint)
    reached(monkeypatch, server)
    logprobs = {"token_logprobs": [-1.0]}
    strange = {"index": 0, "token_ids": [10**6], "finish_reason": "length", "logprobs": logprobs}
    monkeypatch.setattr(server, "complete", lambda body: httpx.Response(200, json={"choices": [strange]}))
    with pytest.raises(ServerLost, match="tokens that the policy does not have"):
        train_ppo(far(run, "vllm", "adapter"))
