import json
from pathlib import Path

import pytest

from app.checkpoints.queries import BUNDLED
from app.checkpoints.rules import CheckpointRefused, check_folder
from tests.app.checkpoints.conftest import write_safetensors


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointRefused) as caught:
        check_folder(folder)
    return str(caught.value)


def test_a_whole_folder_is_described(folder: Path) -> None:
    checked = check_folder(folder)
    assert (checked.kind, checked.architecture, checked.parameters, checked.context) == (
        "base", "LlamaForCausalLM", 80, 64,
    )  # fmt: skip
    assert len(checked.weights_sha256) == 64


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in refusal(folder)
    assert "missing" in refusal(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.PT", "data.pkl", "inside/array.npy", "x.ckpt"])
def test_a_file_that_could_run_code_is_refused_and_never_opened(folder: Path, name: str) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"cos\nsystem\n(S'touch /nowhere'\ntR.")
    assert refusal(folder) == f"{file.name} can run code when it is opened; only safetensors are read."


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_its_own_is_refused(folder: Path, name: str) -> None:
    content = json.loads((folder / name).read_text()) | {"auto_map": {"AutoConfig": "evil.Config"}}
    (folder / name).write_text(json.dumps(content))
    assert refusal(folder) == f"{name} asks for code of its own (auto_map), which is never run."


def test_a_file_that_is_cut_short_is_refused_with_both_sizes(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", {"model.embed_tokens.weight": [10, 4]}, cut=3)
    assert "model.safetensors is cut short" in refusal(folder)


def headed(header: object) -> bytes:
    """The beginning of a safetensors file."""
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"short", b"\xff" * 64, (4).to_bytes(8, "little") + b"nope"),
        *(headed([1]), headed({"x": {}}), headed({"x": {"data_offsets": 3}}), headed({"x": {"data_offsets": []}})),
    ],
)
def test_what_is_no_safetensors_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    assert refusal(folder).startswith("model.safetensors ")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json", "hone.json"])
def test_broken_json_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{ this is not")
    assert refusal(folder) == f"{name} is not valid JSON."


def test_without_a_chat_template_nothing_is_opened_wherever_it_could_stand(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{}")
    assert "has no chat_template" in refusal(folder)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert check_folder(folder).kind == "base"


def test_a_tokenizer_with_more_tokens_than_rows_is_refused(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", {"model.embed_tokens.weight": [9, 4]})
    assert refusal(folder) == "tokenizer.json has 10 tokens, but the embedding has 9 rows."


def test_shards_are_followed_and_a_missing_one_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-2.safetensors" in refusal(folder)
    write_safetensors(folder / "model-2.safetensors", {"b": [2]})
    assert check_folder(folder).parameters == 82


def test_an_index_cannot_lead_out_of_the_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    assert "../../etc/passwd" in refusal(folder)


def test_the_bundled_one_is_whole() -> None:
    assert check_folder(BUNDLED).parameters < 4_000_000
