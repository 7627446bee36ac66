"""A checkpoint's folder, as small as one can be."""

import json
from pathlib import Path

import pytest


def write_safetensors(file: Path, tensors: dict[str, list[int]], *, cut: int = 0) -> None:
    """BF16 zeros under a true header."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    content = len(raw).to_bytes(8, "little") + raw + b"\0" * at
    file.write_bytes(content[: len(content) - cut])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest folder that is whole: 10 tokens, 10 rows."""
    config = {"architectures": ["LlamaForCausalLM"], "vocab_size": 10, "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    vocabulary = {f"t{number}": number for number in range(8)}
    added = [{"id": 8, "content": "<eos>"}, {"id": 9, "content": "<pad>"}]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": added}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    write_safetensors(tmp_path / "model.safetensors", {"model.embed_tokens.weight": [10, 4], "lm_head.weight": [10, 4]})
    return tmp_path
