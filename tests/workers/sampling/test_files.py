"""`hone sample`, `hone chat`, `hone score` and `hone serve` from files alone."""

import io
import json

import pytest

from tests.training import conftest
from workers.sampling.__main__ import main
from workers.training.checkpoints import open_checkpoint
from workers.training.networks import Backbone
from workers.training.scoring import load_reward

base_folder, reward_folder = conftest.base_folder, conftest.reward_folder


def sampled(tiny, file, *more):
    return main(["sample", str(tiny), str(file), "--max-tokens", "8", "--device", "cpu", *more])


def test_a_file_of_prompts_becomes_a_file_of_answers(tiny, tmp_path, capsys):
    prompts = [
        {"prompt": "is the tea hot?", "id": 7},
        {"messages": [{"role": "system", "content": "be warm"}, {"role": "user", "content": "rain"}]},
    ]
    file, out = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    file.write_text("\n\n".join(map(json.dumps, prompts)))
    assert sampled(tiny, file, "--n", "2", "--out", str(out)) == 0
    assert sampled(tiny, file, "--n", "2") == 0
    assert capsys.readouterr().out == out.read_text()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{name: line[name] for name in line if name != "completions"} for line in lines] == prompts
    for line in lines:
        assert [set(one) for one in line["completions"]] == [{"text", "tokens", "finish_reason", "logprob"}] * 2
        assert all(0 < one["tokens"] <= 8 and one["logprob"] < 0 for one in line["completions"])
    file.write_text(json.dumps(prompts[0]))
    assert sampled(tiny, file, "--n", "2") == 0  # company changes nothing
    assert json.loads(capsys.readouterr().out)["completions"][0]["text"] == lines[0]["completions"][0]["text"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{oh", "line 1: not a JSON object"),
        ('{"text": "a"}', "line 1: neither"),
        ('{"prompt": [{"role": "robot", "content": "a"}]}', "messages[0].role"),
    ],
)
def test_a_bad_line_is_named(tiny, tmp_path, capsys, line, said):
    (tmp_path / "p.jsonl").write_text(line)
    assert sampled(tiny, tmp_path / "p.jsonl") == 2
    assert said in capsys.readouterr().err
    assert sampled(tmp_path, tmp_path / "p.jsonl", "--temperature", "-1") == 2
    assert "temperature" in capsys.readouterr().err


def test_a_talk_goes_on_and_begins_anew(tiny, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("is the tea hot?\nand now?\n\nis the tea hot?\n"))
    assert main(["chat", str(tiny), "--max-tokens", "6", "--device", "cpu", "--temperature", "0"]) == 0
    first, again = capsys.readouterr().out.split("-- anew --\n")
    assert again
    assert first.startswith(again.rstrip("\n"))


def scored(reward, base, file, *more):
    return main(["score", str(reward), str(file), "--base", str(base), "--device", "cpu", *more])


def test_what_was_sampled_is_scored_as_it_stands(base_folder, reward_folder, tmp_path, capsys):
    """Both shapes of a line; by hand from the network's own scores."""
    lines = [
        {"prompt": "the day", "id": 7, "completions": [{"text": "good fine", "tokens": 3}, {"text": "bad sad"}]},
        {"messages": [{"role": "user", "content": "the day"}], "answer": "good fine"},
        {"prompt": "the day", "completions": []},
        {"prompt": "the day", "answer": "bad sad", "completions": [{"text": "good fine"}]},
    ]
    file, out = tmp_path / "answers.jsonl", tmp_path / "scored.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert scored(reward_folder, base_folder, file, "--out", str(out), "--uncertainty", "0.25") == 0
    several, single, nothing, beside = (json.loads(line) for line in out.read_text().splitlines())
    opened = open_checkpoint(base_folder)
    network = load_reward(reward_folder, Backbone(opened.network), opened.weights_sha256)
    prompt, said = opened.prompt_ids([("user", "the day")]), ["good fine", "bad sad"]
    scores = network.score([prompt] * 2, [opened.answer_ids(text) for text in said], opened.pad_id)
    mean, deviation = network.constants[0].moments
    expected = ((scores.mean - 0.25 * scores.sd - mean) / deviation).tolist()
    assert [one["reward"] for one in several["completions"]] == pytest.approx(expected, abs=1e-4)
    assert several["completions"][0]["tokens"] == 3
    assert several["id"] == 7
    assert single["reward"] == pytest.approx(expected[0], abs=1e-4)
    assert single["doubt"] == pytest.approx(float(scores.sd[0]) / deviation, abs=1e-4)
    assert single["heads"] == {}
    assert nothing == lines[2]
    assert beside["completions"][0]["reward"] == pytest.approx(expected[0], abs=1e-4), "not the answer's beside it"
    assert "reward" not in beside
    assert scored(reward_folder, base_folder, file) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("line", "more", "said"),
    [
        ('{"prompt": "a"}', [], "neither “answer” nor “completions”"),
        ('{"prompt": "a", "completions": [{"txt": "b"}]}', [], "neither “answer” nor “completions”"),
        ('{"prompt": "a", "answer": "b"}', ["--uncertainty", "-1"], "uncertainty"),
        ('{"prompt": "a", "answer": "b"}', ["--formula", "kindness"], "kindness"),
    ],
)
def test_what_cannot_be_scored_is_named(base_folder, reward_folder, tmp_path, capsys, line, more, said):
    (tmp_path / "a.jsonl").write_text(line)
    assert scored(reward_folder, base_folder, tmp_path / "a.jsonl", *more) == 2
    assert said in capsys.readouterr().err
    assert scored(base_folder, base_folder, tmp_path / "a.jsonl") == 2, "a base is no reward model"


def test_a_door_whose_key_others_can_read_does_not_open(tiny, tmp_path, capsys):
    (tmp_path / "sampler.token").write_text("a" * 20)
    (tmp_path / "sampler.token").chmod(0o644)
    assert main(["serve", str(tiny), "--token", str(tmp_path), "--device", "cpu"]) == 2
    assert "can be read by others" in capsys.readouterr().err
