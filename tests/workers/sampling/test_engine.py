import asyncio
import gc
import json
import os
import shutil
import time

import pytest

from workers.sampling import shelf as shelf_module
from workers.sampling.answers import NotAnswerable, Sampling
from workers.sampling.decoding import sample
from workers.sampling.engine import Engine, EngineClosed
from workers.sampling.shelf import Shelf
from workers.training.checkpoints import CheckpointRefused, open_checkpoint

CHATS = [
    [{"role": "user", "content": "is the tea hot?"}],
    [{"role": "system", "content": "be warm"}, {"role": "user", "parts": [{"type": "text", "text": "rain"}]}],
    [{"role": "user", "content": [{"type": "text", "text": "the "}, {"type": "text", "text": "grüße ☔"}]}],
]
SHORT = Sampling(max_tokens=16)


@pytest.fixture
async def engine():
    running = Engine(device="cpu", token_budget=4000, threads=1)
    yield running
    await running.close()


async def test_answers_are_those_of_the_sampler_as_text(engine, tiny):
    opened = open_checkpoint(tiny)
    answers = await engine.complete(tiny, CHATS, SHORT, 2, [1, 2, 3])
    prompts = [
        opened.tokenizer("<user>is the tea hot?<end><assistant>")["input_ids"],
        opened.tokenizer("<system>be warm<end><user>rain<end><assistant>")["input_ids"],
        opened.tokenizer("<user>the grüße ☔<end><assistant>")["input_ids"],
    ]
    expected = sample(
        opened.network, prompts, SHORT, n=2, seeds=[1, 2, 3], stop_ids=set(opened.stop_ids), pad_id=0, token_budget=4000
    )
    for prompt, group, sampled in zip(prompts, answers, expected, strict=True):
        for answer, one in zip(group, sampled, strict=True):
            assert answer.token_count == len(one.tokens)
            assert answer.finish_reason == one.finish_reason
            assert answer.logprob_sum == pytest.approx(sum(one.logprobs), abs=1e-4)
            assert answer.prompt_tokens == len(prompt)
            spoken = [token for token in one.tokens if token > 4]  # 0 to 4 are special
            assert answer.text == opened.tokenizer.decode(spoken)


async def test_an_answer_does_not_depend_on_what_is_asked_beside_it(engine, tiny):
    together = await engine.complete(tiny, CHATS, SHORT, 2, [1, 2, 3])
    several = await asyncio.gather(
        *(engine.complete(tiny, [chat], SHORT, 2, [seed]) for chat, seed in zip(CHATS, [1, 2, 3], strict=True))
    )
    assert [[a.text for a in one[0]] for one in several] == [[a.text for a in group] for group in together]


async def test_what_waits_is_generated_together(engine, tiny, monkeypatch):
    sizes = []

    def counted(network, prompts, *args, **options):
        sizes.append(len(prompts))
        return sample(network, prompts, *args, **options)

    monkeypatch.setattr("workers.sampling.engine.sample", counted)
    await asyncio.gather(*(engine.complete(tiny, CHATS, SHORT, 1, [seed] * 3) for seed in range(8)))
    assert sum(sizes) == 24
    assert len(sizes) < 8


async def test_a_bad_conversation_fails_alone_and_is_named(engine, tiny):
    bad = [*CHATS, [{"role": "user", "content": "tea"}, {"role": "robot", "content": "?"}]]
    good, failed = await asyncio.gather(
        engine.complete(tiny, CHATS, SHORT, 1, [1, 2, 3]),
        engine.complete(tiny, bad, SHORT, 1, [1, 2, 3, 4]),
        return_exceptions=True,
    )
    assert len(good) == 3
    assert isinstance(failed, NotAnswerable)
    assert failed.field == "conversations[3].messages[1].role"
    assert "'robot'" in failed.sentence


@pytest.mark.parametrize(
    ("chat", "field", "part"),
    [
        ([], "messages", "at least one message"),
        ([{"role": "user"}], "messages[0].content", "text"),
        ([{"role": "user", "parts": [{"type": "image", "sha256": "00"}]}], "messages[0].parts[0]", "'image'"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "messages[1].role", "nothing to"),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], "messages", "system comes first"),
        ([{"role": "user", "content": "tea " * 200}], "messages", "can hold 128"),
    ],
)
async def test_what_cannot_be_answered_is_a_sentence_with_a_field(engine, tiny, chat, field, part):
    with pytest.raises(NotAnswerable) as caught:
        await engine.complete(tiny, [chat], SHORT, 1, [1])
    assert caught.value.field == field
    assert part in caught.value.sentence


async def test_a_folder_that_is_no_checkpoint_is_refused_by_name(engine, tmp_path):
    (tmp_path / "odd").mkdir()
    with pytest.raises(CheckpointRefused, match="odd"):
        await engine.complete(tmp_path / "odd", CHATS, SHORT, 1, [1, 2, 3])
    with pytest.raises(CheckpointRefused, match="gone"):
        await engine.complete(tmp_path / "gone", CHATS, SHORT, 1, [1, 2, 3])


async def test_a_stop_text_ends_an_answer_before_it(engine, tiny):
    [[plain]] = await engine.complete(tiny, CHATS[:1], Sampling(max_tokens=30), 1, [1])
    ending = plain.text[6:8]
    assert len(ending) == 2
    place = plain.text.index(ending)
    [[stopped]] = await engine.complete(tiny, CHATS[:1], Sampling(max_tokens=30, stop=(ending, "never")), 1, [1])
    assert stopped.text == plain.text[:place]
    assert stopped.finish_reason == "stop"
    assert stopped.token_count < plain.token_count


async def test_pieces_of_a_stream_join_to_the_whole_answer(engine, tiny):
    sampling = Sampling(max_tokens=40, stop=("zq",))
    [whole] = await engine.complete(tiny, CHATS[2:], sampling, 2, [9])
    pieces = [piece async for piece in engine.stream(tiny, CHATS[2], sampling, 2, 9)]
    for index in (0, 1):
        mine = [piece for piece in pieces if piece.index == index]
        assert "".join(piece.text for piece in mine) == whole[index].text
        assert [piece.completed for piece in mine if piece.completed] == [whole[index]]
        assert mine[-1].completed is not None
        assert len(mine) > 3


async def test_a_stream_fails_before_its_first_piece(engine, tiny):
    with pytest.raises(NotAnswerable):
        await anext(engine.stream(tiny, [], SHORT))


async def test_leaving_a_stream_ends_its_generation(engine, tiny, monkeypatch):
    lengths = []

    def spied(*args, **options):
        answers = sample(*args, **options)
        lengths.append(len(answers[0][0].tokens))
        return answers

    monkeypatch.setattr("workers.sampling.engine.sample", spied)
    longest = Sampling(max_tokens=100, temperature=5)
    stream = engine.stream(tiny, CHATS[0], longest, 1, 3)
    await anext(stream)
    await stream.aclose()
    await engine.complete(tiny, CHATS[:1], SHORT, 1, [1])  # comes after it
    assert lengths[0] < 100


async def test_an_empty_answer_says_so(engine, tiny, monkeypatch):
    opened = engine.shelf.take(tiny)
    every = frozenset(range(len(opened.tokenizer)))
    monkeypatch.setitem(opened.__dict__, "stop_ids", every)  # any first token ends the answer
    [[answer]] = await engine.complete(tiny, CHATS[:1], SHORT, 1, [1])
    assert (answer.text, answer.empty, answer.token_count) == ("", True, 1)


async def test_a_failure_while_generating_reaches_everybody_and_the_engine_lives_on(engine, tiny, monkeypatch):
    def broken(*args, **options):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("workers.sampling.engine.sample", broken)
        outcomes = await asyncio.gather(
            *(engine.complete(tiny, CHATS, SHORT, 1, [1, 2, 3]) for _ in range(3)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [MemoryError] * 3
    assert len(await engine.complete(tiny, CHATS, SHORT, 1, [1, 2, 3])) == 3


async def test_closing_tells_everybody_who_waits(tiny):
    engine = Engine(device="cpu", threads=1)
    asked = [
        asyncio.ensure_future(engine.complete(tiny, CHATS, Sampling(max_tokens=90 + i), 4, [1, 2, 3])) for i in range(4)
    ]
    await asyncio.sleep(0)
    await engine.close()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert any(isinstance(outcome, EngineClosed) for outcome in outcomes)
    assert all(isinstance(outcome, EngineClosed | list) for outcome in outcomes)
    with pytest.raises(EngineClosed):
        await engine.complete(tiny, CHATS, SHORT, 1, [1, 2, 3])


async def test_an_abandoned_request_leaves_nothing_behind(engine, tiny):
    asked = asyncio.ensure_future(engine.complete(tiny, CHATS, Sampling(max_tokens=100, temperature=9), 4, [1, 2, 3]))
    await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert len(await engine.complete(tiny, CHATS, SHORT, 1, [1, 2, 3])) == 3
    gc.collect()  # a future whose error nobody saw would complain here


async def test_nothing_asked_is_nothing_answered(engine, tiny):
    assert await engine.complete(tiny, [], SHORT, 1, []) == []


def test_a_checkpoint_is_opened_once_and_the_least_used_is_put_away(tiny, other):
    size = sum(p.nbytes for p in open_checkpoint(tiny).network.parameters())
    roomy = Shelf(device="cpu", dtype=None, memory_budget=2 * size)
    first = roomy.take(tiny)
    roomy.take(other)
    assert roomy.take(tiny) is first
    tight = Shelf(device="cpu", dtype=None, memory_budget=2 * size - 1)
    first = tight.take(tiny)
    tight.take(other)
    assert tight.take(tiny) is not first
    none = Shelf(device="cpu", dtype=None, memory_budget=size - 1)
    with pytest.raises(CheckpointRefused, match="weights need"):
        none.take(tiny)


def test_a_folder_written_anew_is_opened_anew(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    shelf = Shelf(device="cpu", dtype=None, memory_budget=1 << 30)
    first = shelf.take(copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64}))
    assert shelf.take(copy) is not first
    assert shelf.take(copy).context == 64


def test_what_changes_while_it_is_read_is_read_again(tiny, tmp_path, monkeypatch):
    """Else the header of one could stand for the weights of the other."""
    copy, reads = shutil.copytree(tiny, tmp_path / "copy"), []

    def open_and_change(folder, *more):
        reads.append(open_checkpoint(folder, *more))
        if len(reads) == 1:
            os.utime(copy / "model.safetensors", ns=(1, time.time_ns() + 1_000_000_000))
        return reads[-1]

    monkeypatch.setattr(shelf_module, "open_checkpoint", open_and_change)
    shelf = Shelf(device="cpu", dtype=None, memory_budget=1 << 30)
    assert shelf.take(copy) is shelf.take(copy) is reads[1]
    assert len(reads) == 2


async def test_a_new_checkpoint_in_the_same_folder_loses_no_request(engine, tiny, other, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "live")
    long = Sampling(max_tokens=60)
    [before], [after] = [(await engine.complete(folder, CHATS[:1], long, 1, [1]))[0] for folder in (copy, other)]
    asked = [asyncio.ensure_future(engine.complete(copy, CHATS[:1], long, 1, [1])) for _ in range(4)]
    await asyncio.sleep(0)
    (copy / "model.safetensors").write_bytes(b"half a file")
    os.utime(copy / "model.safetensors", ns=(1, time.time_ns() + 1_000_000_000))
    first = await asyncio.gather(*asked)
    [still] = await engine.complete(copy, CHATS[:1], long, 1, [1])
    shutil.copy(other / "model.safetensors", copy)
    os.utime(copy / "model.safetensors", ns=(1, time.time_ns() + 2_000_000_000))
    [new] = await engine.complete(copy, CHATS[:1], long, 1, [1])
    assert {one[0][0].text for one in first} == {before.text} == {still[0].text}
    assert new[0].text == after.text != before.text
    assert engine.shelf.filling[0] == 2  # the copy once, and the other
