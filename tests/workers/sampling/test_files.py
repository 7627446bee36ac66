"""`hone sample` and `hone chat` from files alone."""

import io
import json

import pytest

from workers.sampling.__main__ import main


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
