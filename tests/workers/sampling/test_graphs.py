"""Recorded steps, on a CPU: a stand-in records what torch was asked for and does it again on the same memory.

It is as strict as a CUDA graph in what matters: numbers that Python held while it recorded stay as they were, a tensor
that was made since is not seen, and asking the device for a number is refused. A card's own recorder is run where there
is one.
"""

import gc
from weakref import WeakSet, ref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.workers.sampling.naive import PROMPTS, SEEDS, answer, naive
from workers.sampling import decoding, graphs
from workers.sampling.answers import Sampling

ASKS_BACK = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal"}


class Recording(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.name().split(".")[0] in ASKS_BACK:
            raise RuntimeError("operation not permitted when stream is capturing")
        kwargs = kwargs or {}
        found = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, found))
        return found

    def replay(self):
        for function, args, kwargs, found in self.calls:
            lying = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if is_tensor(leaf)}
            held = [leaf for leaf in tree_leaves(found) if is_tensor(leaf)]
            again = [leaf for leaf in tree_leaves(function(*args, **kwargs)) if is_tensor(leaf)]
            for old, new in zip(held, again, strict=True):
                if old.untyped_storage().data_ptr() not in lying:  # a view, or written in place, is there already
                    old.copy_(new)


def tokens_of(answers):
    """Log-probabilities differ by rounding: keys are summed over wider rooms."""
    return [[got.tokens for got in group] for group in answers]


def is_tensor(leaf):
    return isinstance(leaf, torch.Tensor)


class StandIn:
    def __init__(self):
        self.refused, self.recorded, self.replayed = WeakSet(), 0, 0

    def record(self, work):
        self.recorded += 1
        said = work()
        with Recording() as recording:
            found = work()
        for tensor in found:
            tensor.fill_(torch.nan)  # nothing is computed while a graph is recorded

        def again():
            self.replayed += 1
            recording.replay()
            return found

        return again, said


@pytest.fixture
def recorder(monkeypatch):
    made = StandIn()
    monkeypatch.setattr(graphs, "graphs_on", lambda device: made)
    return made


@pytest.mark.parametrize("kind", ["network", "biased"])
@pytest.mark.parametrize("budget", [10_000, 100])
def test_recorded_steps_say_what_one_row_at_a_time_says(kind, budget, request, recorder):
    network = request.getfixturevalue(kind)
    sampling = Sampling(temperature=0.8, max_tokens=24)
    answers = answer(network, sampling=sampling, n=3, budget=budget)
    for prompt, seed, group in zip(PROMPTS, SEEDS, answers, strict=True):
        for index, got in enumerate(group):
            expected = naive(network, prompt, seed, index, sampling)
            assert got.tokens == expected.tokens
            assert got.logprobs == pytest.approx(expected.logprobs, abs=5e-5)
    assert recorder.replayed > 2 * recorder.recorded > 2
    assert not recorder.refused


def test_rooms_that_are_full_are_recorded_anew(network, recorder, monkeypatch):
    monkeypatch.setattr("workers.sampling.cache.AHEAD", 4)
    sampling = Sampling(temperature=0.8, max_tokens=30)
    one = {"prompts": PROMPTS[:2], "seeds": SEEDS[:2], "sampling": sampling, "n": 1}
    expected = answer(network, **one, is_recorded=False)
    assert recorder.recorded == 0
    assert tokens_of(answer(network, **one)) == tokens_of(expected)
    longest = max(len(got.tokens) for group in expected for got in group)
    assert recorder.recorded >= longest // 4


def test_samples_that_share_a_prompt_are_recorded_and_go_on_when_some_are_done(network, recorder):
    sampling = Sampling(temperature=0.7, max_tokens=12)
    prompts, seeds = [[11, 12, 13, 14, 15, 16, 17, 18], [20, 21]], [7, 3]
    early = {"watch": lambda row: row.sample < 2 and len(row.tokens) == 3}
    answers = answer(network, prompts, seeds, sampling, n=6, budget=8 * 20 + 19, **early)
    for prompt, seed, group in zip(prompts, seeds, answers, strict=True):
        for index, got in enumerate(group):
            expected = naive(network, prompt, seed, index, sampling)
            assert got.tokens == expected.tokens[: len(got.tokens)]
            assert got.logprobs == pytest.approx(expected.logprobs[: len(got.tokens)], abs=5e-5)
    assert recorder.replayed > recorder.recorded


def test_what_cannot_be_recorded_is_done_step_by_step(network, recorder, monkeypatch, caplog):
    sampling = Sampling(temperature=0.8, max_tokens=8)
    expected = answer(network, sampling=sampling, is_recorded=False)
    act = type(network.model.layers[0].mlp.act_fn)
    opened = act.forward
    monkeypatch.setattr(act, "forward", lambda self, x: opened(self, x) if bool(x.isfinite().all()) else x)
    assert tokens_of(answer(network, sampling=sampling)) == tokens_of(expected)
    assert network in recorder.refused
    assert recorder.recorded == 1
    assert "cannot be recorded" in caplog.text
    answer(network, sampling=sampling)
    assert recorder.recorded == 1  # nor is it tried again


def test_a_recording_that_says_otherwise_is_not_used(network, recorder, monkeypatch, caplog):
    sampling = Sampling(temperature=0.8, max_tokens=8)
    expected = answer(network, sampling=sampling, is_recorded=False)
    monkeypatch.setattr(Recording, "replay", lambda self: None)
    assert tokens_of(answer(network, sampling=sampling)) == tokens_of(expected)
    assert network in recorder.refused
    assert "otherwise" in caplog.text


def test_out_of_memory_while_recording_halves_the_budget(network, recorder, monkeypatch, caplog):
    sampling = Sampling(temperature=0.8, max_tokens=8)
    expected = answer(network, sampling=sampling, is_recorded=False)
    record = recorder.record

    def fails_once(work):
        monkeypatch.setattr(recorder, "record", record)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(recorder, "record", fails_once)
    assert tokens_of(answer(network, sampling=sampling)) == tokens_of(expected)
    assert "half of it" in caplog.text
    assert not recorder.refused


def a_card_that_recorded(monkeypatch):
    """What tells the calling thread's last recording, None once it is gone; and what it told whenever the card's cache
    was emptied."""

    class Recorded:
        pass

    mine = object.__new__(graphs.Graphs)
    mine._last, left = Recorded(), []
    recorded = ref(mine._last)
    monkeypatch.setattr(graphs._here, "graphs", mine, raising=False)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: left.append(recorded()))
    return recorded, left


def test_what_nobody_uses_is_given_back_to_the_card(monkeypatch):
    """The cache is emptied when the last recording is gone, and whatever refers to itself in a circle."""
    recorded, left = a_card_that_recorded(monkeypatch)
    circle = StandIn()
    circle.myself = circle
    watched = ref(circle)
    del circle
    gc.disable()
    try:
        graphs.give_back()
    finally:
        gc.enable()
    assert (recorded(), left, watched()) == (None, [None], None)


def test_no_card_is_asked_for_anything_where_none_is_in_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("nobody has a card here"))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    graphs.give_back()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
def test_a_card_records_what_it_says_step_by_step(network, monkeypatch):
    moved = network.to("cuda")
    try:
        sampling = Sampling(temperature=0, max_tokens=24)
        plain, replayed = (answer(moved, sampling=sampling, n=3, is_recorded=on) for on in (False, True))
        assert tokens_of(replayed) == tokens_of(plain)
        assert moved not in graphs.graphs_on(torch.device("cuda", torch.cuda.current_device())).refused
        assert decoding.graphs.graphs_on(torch.device("cpu")) is None
    finally:
        network.to("cpu")
