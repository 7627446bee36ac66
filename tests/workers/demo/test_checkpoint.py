"""The bundled checkpoint is small, whole, ours, and answers."""

import json

import pytest
import torch

from workers.demo import build, corpus, tokenizer
from workers.training.checkpoints import open_checkpoint, read_record, weights_sha256

FOLDER = build.FOLDER


@pytest.fixture(scope="module")
def opened():
    torch.set_num_threads(1)
    return open_checkpoint(FOLDER)


def test_it_has_at_most_four_million_parameters_in_eight_megabytes(opened):
    assert sum(weight.numel() for weight in opened.network.parameters()) <= 4_000_000
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 8_000_000
    assert opened.stored_dtype is torch.bfloat16
    assert opened.network.config.model_type == "llama"


def test_its_record_says_how_it_was_made(opened):
    record = opened.record
    assert record.kind == "base"
    assert record.config == build.BuildConfig().model_dump()
    assert record.weights_sha256 == weights_sha256(FOLDER)
    assert record.metrics.keys() == {"heldout_loss", "tokens"}
    assert 0.3 < record.metrics["heldout_loss"] < 1.2


def test_its_tokenizer_is_the_one_the_corpus_makes(opened):
    config = build.BuildConfig()
    made = build.learn_tokenizer(config)
    kept = json.loads((FOLDER / "tokenizer.json").read_text("utf-8"))
    assert json.loads(made.to_str())["model"] == kept["model"]
    assert made.get_vocab_size() == tokenizer.VOCABULARY == opened.network.config.vocab_size


def test_pad_begin_and_end_are_different_tokens(opened):
    known = opened.tokenizer
    assert len({known.pad_token_id, known.bos_token_id, known.eos_token_id}) == 3
    assert opened.stop_ids == {known.eos_token_id}


def test_the_chat_template_writes_what_the_network_learned(opened):
    turns = (corpus.Turn("system", "Keep your answers short."), corpus.Turn("user", "Describe cats."))
    learned = tokenizer.encode(opened.tokenizer.backend_tokenizer, [turns])[0]
    asked = opened.prompt_ids([(turn.role, turn.text) for turn in turns])
    assert asked == [*learned, opened.tokenizer.convert_tokens_to_ids("<|assistant|>")]


@pytest.mark.parametrize("text", ["Plain words.", "naïve café, 北京 🙂", "tabs\tand\nlines"])
def test_any_text_survives_the_tokenizer(opened, text):
    assert opened.tokenizer.decode(opened.tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_two_samples_differ_and_end(opened):
    torch.manual_seed(1)
    prompt = torch.tensor([opened.prompt_ids([("user", "How do I bake bread?")])])
    written = opened.network.generate(prompt.repeat(4, 1), max_new_tokens=96, do_sample=True)
    texts = [opened.tokenizer.decode(row[prompt.shape[1] :], skip_special_tokens=True) for row in written]
    assert len(set(texts)) == 4
    assert all(opened.tokenizer.eos_token_id in row[prompt.shape[1] :].tolist() for row in written)


def test_building_twice_gives_the_same_file(tmp_path):
    config = build.BuildConfig(conversations=64, heldout=8, batch=8, width=32, layers=1, heads=2, inner=32)
    for name in ("one", "two"):
        build.build(tmp_path / name, config, lambda line: None)
    assert weights_sha256(tmp_path / "one") == weights_sha256(tmp_path / "two")
    one, two = (read_record(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert one is not None
    assert one.weights_sha256 == weights_sha256(tmp_path / "one")


def test_words_said_to_an_answer_count_more(opened):
    turns = (
        corpus.Turn("user", "Describe cats."),
        corpus.Turn("assistant", "They purr."),
        corpus.Turn("user", "More!"),
    )
    known = opened.tokenizer.backend_tokenizer
    row = tokenizer.encode(known, [turns])[0]
    said = build.answer_end(row, known) + 1
    assert opened.tokenizer.decode(row[said + 1 : -1]) == "More!"
    with torch.no_grad():
        scores = opened.network(input_ids=torch.tensor([row])).logits[0].float().log_softmax(-1)
        found = float(build.loss_of(opened.network, [row], known, 3.0))
    losses = [-float(scores[place, wanted]) for place, wanted in enumerate([*row[1:], row[0]])]
    counts = [3.0 if said <= place < len(row) - 1 else 1.0 for place in range(len(row))]
    expected = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_sharpened_network_multiplies_its_logits():
    config = build.BuildConfig(conversations=64, heldout=8, batch=8, width=32, layers=1, heads=2, inner=32)
    network = build.make_network(config, build.learn_tokenizer(config))
    ids = torch.arange(6).unsqueeze(0)
    with torch.no_grad():
        before = network(input_ids=ids).logits
        build.sharpen(network, 2.0)
        assert torch.allclose(network(input_ids=ids).logits, 2 * before, atol=1e-5)
