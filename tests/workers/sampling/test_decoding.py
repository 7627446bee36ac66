"""The batched loop against the slowest sampler that can be right: one row, one full forward per token."""

import math

import pytest
import torch

from tests.workers.sampling.naive import PROMPTS, SEEDS, STOPS, answer, naive
from workers.sampling.decoding import OutOfMemory, PromptTooLong, Sampling
from workers.sampling.lean import Lean


class Spy:
    """Stands before a network and writes down the shapes it was asked to read."""

    def __init__(self, network):
        self.network = network
        self.training = False
        self.calls = []

    def __call__(self, **inputs):
        self.calls.append((tuple(inputs["input_ids"].shape), tuple(inputs["attention_mask"].shape)))
        return self.network(**inputs)

    def __getattr__(self, name):
        return getattr(self.network, name)


@pytest.mark.parametrize("kind", ["network", "biased", "absolute"])
def test_the_batch_gives_what_one_row_at_a_time_gives(kind, request):
    network = request.getfixturevalue(kind)
    sampling = Sampling(temperature=0.7, max_tokens=12)
    answers = answer(network, sampling=sampling, n=3)
    reasons = set()
    for prompt, seed, group in zip(PROMPTS, SEEDS, answers, strict=True):
        for index, got in enumerate(group):
            expected = naive(network, prompt, seed, index, sampling)
            assert got.tokens == expected.tokens
            assert got.logprobs == pytest.approx(expected.logprobs, abs=1e-5)
            assert got.finish_reason == expected.finish_reason
            reasons.add(got.finish_reason)
    assert reasons == {"stop", "length"}  # both ends were seen, so both were compared


@pytest.mark.parametrize("budget", [20, 47, 64, 150])
def test_answers_do_not_depend_on_how_many_fit_beside_each_other(network, budget):
    roomy, tight = answer(network), answer(network, budget=budget)
    assert [[s.tokens for s in group] for group in tight] == [[s.tokens for s in group] for group in roomy]


def test_a_prompt_alone_and_in_company_gives_the_same_answer(network):
    together = answer(network)
    for index, prompt in enumerate(PROMPTS):
        alone = answer(network, [prompt], [SEEDS[index]])[0]
        assert [s.tokens for s in alone] == [s.tokens for s in together[index]]
        for one, other in zip(alone, together[index], strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_the_pad_token_changes_nothing(network):
    assert [[s.tokens for s in g] for g in answer(network, pad_id=0)] == [
        [s.tokens for s in g] for g in answer(network, pad_id=44)
    ]


def test_samples_and_seeds_differ_but_repeat(network):
    first, again = answer(network, n=4), answer(network, n=4)
    assert first == again
    assert len({tuple(s.tokens) for s in first[0]}) > 1
    other_seed = answer(network, seeds=[seed + 100 for seed in SEEDS], n=4)
    assert other_seed != first


def test_more_samples_leave_the_first_ones_as_they_were(network):
    assert [s.tokens for s in answer(network, n=5)[2]][:2] == [s.tokens for s in answer(network, n=2)[2]]


def test_an_answer_holds_its_stop_token_last_and_only_there(network):
    for group in answer(network, sampling=Sampling(max_tokens=40), n=4):
        for sampled in group:
            assert len(sampled.tokens) == len(sampled.logprobs) <= 40
            assert not STOPS & set(sampled.tokens[:-1])
            assert (sampled.tokens[-1] in STOPS) == (sampled.finish_reason == "stop")


def test_a_single_token_may_be_asked_for(network):
    for group in answer(network, sampling=Sampling(max_tokens=1)):
        assert [len(s.tokens) for s in group] == [1, 1]


def test_each_prompt_is_read_once_for_all_its_samples(network):
    spy = Spy(network)
    answer(spy, n=6)
    rows, width = spy.calls[0][0]
    assert (rows, width) == (len(PROMPTS), max(map(len, PROMPTS)))
    assert all(shape[1] == 1 for shape, _ in spy.calls[1:])  # everything later is one token per row
    assert spy.calls[1][0][0] <= 6 * len(PROMPTS)


@pytest.mark.parametrize("budget", [20, 47, 64, 150])
def test_rows_times_width_stay_within_the_token_budget(network, budget):
    spy = Spy(network)
    answer(spy, n=3, budget=budget)
    assert max(rows * width for _, (rows, width) in spy.calls) <= budget


def test_the_budget_holds_when_the_longest_row_ends_early(network):
    # the long row (40 + 20 wide) ends as the only one, while those that came in at width 50 have most ahead of them
    drawn = {}

    def watch(row):
        drawn[row.prompt] = drawn.get(row.prompt, 0) + 1
        return (row.prompt == 0 and drawn[0] == 15) or (0 < row.prompt <= 16 and drawn[row.prompt] == 10)

    spy = Spy(network)
    prompts = [[3] * 40] + [[4 + i] * 8 for i in range(16)] + [[4 + i] * 7 for i in range(16)]
    options = {"stop_ids": set(), "watch": watch, "sampling": Sampling(max_tokens=20), "n": 1}
    answers = answer(spy, prompts, list(range(33)), budget=17 * 60, **options)
    assert [len(group[0].tokens) for group in answers] == [15] + [10] * 16 + [20] * 16
    assert max(rows * width for _, (rows, width) in spy.calls) <= 17 * 60


def test_waiting_prompts_enter_while_others_still_run(network):
    spy = Spy(network)
    answer(spy, n=1, sampling=Sampling(max_tokens=30), budget=3 * 38)
    reads = [index for index, (shape, _) in enumerate(spy.calls) if shape[1] > 1 or index == 0]
    assert len(reads) > 1
    # had the first group run to its end before the second began, the steps would be the sum of the longest of each
    total = sum(len(s.tokens) for g in answer(network, n=1, sampling=Sampling(max_tokens=30)) for s in g)
    assert len(spy.calls) < total


def test_finished_rows_leave_the_batch(network):
    spy = Spy(network)
    answers = answer(spy, n=4, sampling=Sampling(max_tokens=40))
    lengths = sorted(len(s.tokens) for g in answers for s in g)
    fed = sum(shape[0] for shape, _ in spy.calls[1:])
    needed = sum(length - 1 for length in lengths)
    assert needed <= fed <= needed * 1.3  # all to the longest would be len(lengths) * (lengths[-1] - 1)
    assert len(lengths) * (lengths[-1] - 1) > needed * 1.5


def test_a_watcher_ends_an_answer(network):
    seen = []

    def watch(row):
        seen.append((row.prompt, row.sample, row.tokens[-1]))
        return row.prompt == 0 and len(row.tokens) == 3

    answers = answer(network, stop_ids=set(), watch=watch)
    assert [(len(s.tokens), s.finish_reason) for s in answers[0]] == [(3, "stop"), (3, "stop")]
    assert {len(s.tokens) for group in answers[1:] for s in group} == {12}
    for prompt, group in enumerate(answers):
        for index, sampled in enumerate(group):
            assert [token for p, i, token in seen if (p, i) == (prompt, index)] == sampled.tokens


def test_a_prompt_that_can_never_fit_is_named_before_anything_runs(network):
    spy = Spy(network)
    with pytest.raises(PromptTooLong, match="prompt 2 has 8 tokens and may get 12 more"):
        answer(spy, budget=19)
    assert spy.calls == []


def test_an_empty_prompt_and_missing_seeds_are_refused(network):
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        answer(network, [[3], []], [1, 2])
    with pytest.raises(ValueError, match="2 prompts need as many seeds, not 1"):
        answer(network, [[3], [4]], [1])


def test_no_prompts_give_no_answers(network):
    assert answer(network, [], []) == []


def test_training_mode_is_off_while_sampling_and_comes_back(network):
    network.train()
    try:
        modes = []
        answer(network, watch=lambda *_: modes.append(network.training) or False)
        assert set(modes) == {False}
        assert network.training
        with pytest.raises(RuntimeError, match="stopped"):
            answer(network, watch=lambda *_: (_ for _ in ()).throw(RuntimeError("stopped")))
        assert network.training
    finally:
        network.eval()


def test_greedy_takes_the_likeliest_token_each_time(network):
    greedy = answer(network, sampling=Sampling(temperature=0, max_tokens=6))
    tokens: list[int] = []
    for got in greedy[4][0].tokens:
        logits = network(torch.tensor([PROMPTS[4] + tokens])).logits[0, -1]
        assert got == int(logits.argmax())
        tokens.append(got)
    assert greedy[4][0] == greedy[4][1]


def test_settings_out_of_range_are_named():
    for bad in (
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_p": 0},
        {"top_k": -1},
        {"max_tokens": 0},
        {"min_p": 2},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Sampling(**bad)


@pytest.mark.parametrize("kind", ["network", "absolute"])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedily_it_says_what_generate_says(kind, penalty, request):
    network = request.getfixturevalue(kind)
    sampling = Sampling(temperature=0, max_tokens=12, repetition_penalty=penalty)
    ours = answer(network, sampling=sampling, n=1, stop_ids={7})
    for prompt, [got] in zip(PROMPTS, ours, strict=True):
        theirs = network.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
            repetition_penalty=penalty,
            eos_token_id=7,
            pad_token_id=0,
        )
        assert got.tokens == theirs[0, len(prompt) :].tolist()


class Failing(Spy):
    """Memory runs out at the given calls."""

    def __init__(self, network, *calls):
        super().__init__(network)
        self.failing = calls

    def __call__(self, **inputs):
        if len(self.calls) in self.failing:
            self.calls.append(((0, 0), (0, 0)))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().__call__(**inputs)


@pytest.mark.parametrize("call", [0, 1, 5])
def test_out_of_memory_halves_the_budget_once_and_changes_no_answer(network, call, caplog):
    seen = []

    def watch(row):
        seen.append((row.prompt, row.sample, len(row.tokens)))
        return False

    spy = Failing(network, call)
    answers = answer(spy, n=3, budget=150, watch=watch)
    assert [[s.tokens for s in group] for group in answers] == [
        [s.tokens for s in group] for group in answer(network, n=3)
    ]
    assert max(rows * width for _, (rows, width) in spy.calls[call + 1 :]) <= 75
    assert len(seen) == len(set(seen))  # nobody is told of a token twice
    assert "150" in caplog.text


def test_out_of_memory_twice_fails_with_the_sizes(network):
    # 2 layers, 2 key-value heads of 8 numbers of 4 bytes, keys and values: 256 bytes; 8 + 12 positions at most
    with pytest.raises(OutOfMemory, match=r"150 positions, and again with 75 .* 256 bytes each.* take 20 positions"):
        answer(Failing(network, 1, 4), n=3, budget=150)
    with pytest.raises(OutOfMemory, match="again with 15 "):
        answer(Failing(network, 1), n=3, budget=30)
    with pytest.raises(ZeroDivisionError):  # and only that is tried again
        answer(network, watch=lambda row: 1 // 0)


def test_alternatives_are_the_likeliest_tokens_of_each_step(network):
    [[got]] = answer(network, PROMPTS[:1], SEEDS[:1], Sampling(max_tokens=4, temperature=0.7, alternatives=3), n=1)
    tokens: list[int] = []
    for token, logprob, others in zip(got.tokens, got.logprobs, got.alternatives, strict=True):
        expected = (network(torch.tensor([PROMPTS[0] + tokens])).logits[0, -1] / 0.7).log_softmax(-1).topk(3)
        assert [place for place, _ in others] == expected.indices.tolist()
        assert [found for _, found in others] == pytest.approx(expected.values.tolist(), abs=1e-5)
        assert logprob <= others[0][1] + 1e-6
        tokens.append(token)


def test_only_networks_whose_steps_are_known_take_the_short_way(network, biased, absolute, monkeypatch):
    assert Lean.of(network)
    assert Lean.of(biased)
    assert Lean.of(absolute) is None
    with monkeypatch.context() as patched:
        patched.setattr(biased.config, "layer_types", ["full_attention", "sliding_attention"])
        assert Lean.of(biased) is None
    with monkeypatch.context() as patched:
        patched.setattr(network.model.rotary_emb, "rope_type", "dynamic")
        assert Lean.of(network) is None
    watched = network.lm_head.register_forward_hook(lambda *_: None)  # somebody wants to see each call
    assert Lean.of(network) is None
    watched.remove()


@pytest.mark.parametrize("kind", ["network", "biased"])
def test_samples_of_one_prompt_share_it_until_others_come(kind, request, monkeypatch):
    network = request.getfixturevalue(kind)
    shared = []
    attend = Lean._attend_shared
    monkeypatch.setattr(Lean, "_attend_shared", lambda *given: shared.append(len(given[1])) or attend(*given))
    sampling = Sampling(temperature=0.7, max_tokens=12)
    # the first is alone until four of its rows are done; then the budget lets the second in beside the rest
    prompts, seeds = [[11, 12, 13, 14, 15, 16, 17, 18], [20, 21]], [7, 3]
    early = {"watch": lambda row: row.sample < 2 and len(row.tokens) == 3}
    answers = answer(network, prompts, seeds, sampling, n=6, budget=8 * 20 + 19, **early)
    for prompt, seed, group in zip(prompts, seeds, answers, strict=True):
        for index, got in enumerate(group):
            expected = naive(network, prompt, seed, index, sampling)
            drawn = len(got.tokens)
            assert drawn == min(len(expected.tokens), 3 if index < 2 else 12)
            assert got.tokens == expected.tokens[:drawn]
            assert got.logprobs == pytest.approx(expected.logprobs[:drawn], abs=5e-5)
    assert shared
    assert min(shared) < 6  # rows left while they shared
