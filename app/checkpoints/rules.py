"""What can be said of a checkpoint's folder without opening it: whole or cut short, safe or able to run code.

Torch-free, so the check runs beside the web. Sampler and trainer check again when they open the folder.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.translation import _

RECORD = "hone.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
# opening any of these can run code, or nobody can tell
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".msgpack", ".h5"})
LARGEST_HEADER = 100_000_000  # bytes, as in the safetensors library
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")


class CheckpointRefused(Exception):
    """A folder that is not opened. `sentence` names the file and the reason."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def heads_in(record: Mapping[str, Any]) -> list[str]:
    """What a reward checkpoint scores by, from its `hone.json`, the overall head first; empty where it has one score
    and nothing to weigh."""
    return sorted(record.get("metrics", {}).get("heads", {}), key=lambda name: (name != "overall", name))


@dataclass(frozen=True)
class Checked:
    """What the files say. parameters: of all tensors. record: `hone.json`, empty where there is none."""

    kind: str
    architecture: str | None
    parameters: int
    size: int
    context: int | None
    weights_sha256: str
    record: dict[str, Any]


def check_folder(folder: Path) -> Checked:
    """Look at every file that will be opened, and say what they say.

    :raises CheckpointRefused: something is missing, cut short, unfitting, or could run code.
    """
    refuse_code(folder)
    record = _read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    kind = str(record.get("kind", "base"))
    if kind == "reward":
        headers = {file: check_safetensors(file) for file in sorted(folder.rglob("*.safetensors"))}
        config: dict[str, Any] = {}
        if not headers:
            raise CheckpointRefused(_("No .safetensors file is in {folder}.").format(folder=folder.name))
    else:
        headers = _headers_of(folder)
        config = _read_json(folder / "config.json")
        _tokens_must_fit(folder, [*headers.values()], config)
    return Checked(
        kind=kind,
        architecture=next(iter(config.get("architectures") or []), None),
        parameters=sum(_count(entry["shape"]) for header in headers.values() for entry in header.values()),
        size=sum(file.stat().st_size for file in headers),
        context=config.get("max_position_embeddings"),
        weights_sha256=digest_of(headers),
        record=record,
    )


def check_writer(folder: Path) -> dict[Path, dict[str, Any]]:
    """The weight files of a folder that writes, each with its header's tensors, once nothing speaks against opening it.

    :raises CheckpointRefused: something is missing, cut short, or could run code.
    """
    refuse_code(folder)
    return _headers_of(folder)


def refuse_code(folder: Path) -> None:
    """:raises CheckpointRefused: no folder, a pickle, or a configuration that asks for Python of its own."""
    if not folder.is_dir():
        raise CheckpointRefused(_("{folder} is not a folder on this machine.").format(folder=folder))
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in PICKLES:
            raise CheckpointRefused(
                _("{file} can run code when it is opened; only safetensors are read.").format(file=file.name)
            )
    for file in sorted(folder.glob("*.json")):
        content = _parse(file) if file.name != SHARDS else {}
        if isinstance(content, dict) and "auto_map" in content:
            raise CheckpointRefused(
                _("{file} asks for code of its own (auto_map), which is never run.").format(file=file.name)
            )


def weight_files_of(folder: Path) -> list[Path]:
    """The one weight file, or all shards that the index names.

    :raises CheckpointRefused: one is missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / SHARDS).is_file():
        raise CheckpointRefused(_("{file} is missing in {folder}.").format(file=WEIGHTS, folder=folder.name))
    names = sorted(set(_read_json(folder / SHARDS).get("weight_map", {}).values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointRefused(_("{index} names {file}, which is not there.").format(index=SHARDS, file=name))
    if not names:
        raise CheckpointRefused(_("{index} names no weight files.").format(index=SHARDS))
    return [folder / name for name in names]


def check_safetensors(file: Path) -> dict[str, Any]:
    """The header's tensors by name, after holding it against the file's size.

    :raises CheckpointRefused: cut short, or no such file.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise CheckpointRefused(_("{file} is cut short, or is no safetensors file.").format(file=file.name))
        try:
            header = json.loads(stream.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError, IndexError):
            raise CheckpointRefused(_("{file} has an unreadable header.").format(file=file.name)) from None
    if end != size:
        told = {"file": file.name, "promised": end, "size": size}
        raise CheckpointRefused(
            _("{file} is cut short: {promised} bytes are promised, {size} are there.").format(**told)
        )
    return tensors


def digest_of(files: Iterable[Path]) -> str:
    """Digest of the one file, or of the shards' digests in order of name."""
    digests = [file_sha256(file) for file in sorted(files)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _headers_of(folder: Path) -> dict[Path, dict[str, Any]]:
    _must_have(folder)
    return {file: check_safetensors(file) for file in weight_files_of(folder)}


def _must_have(folder: Path) -> None:
    for name in NEEDED:
        if not (folder / name).is_file():
            raise CheckpointRefused(_("{file} is missing in {folder}.").format(file=name, folder=folder.name))
    if not _read_json(folder / NEEDED[2]).get("chat_template") and not (folder / "chat_template.jinja").is_file():
        raise CheckpointRefused(
            _("{file} has no chat_template: nobody knows where a prompt ends and an answer begins.").format(
                file=NEEDED[2]
            )
        )


def _tokens_must_fit(folder: Path, headers: list[dict[str, Any]], config: dict[str, Any]) -> None:
    """Every token needs its row in the embedding."""
    tokens = _count_tokens(_read_json(folder / "tokenizer.json"))
    shapes = [entry["shape"] for header in headers for name, entry in header.items() if name.endswith(EMBEDDINGS)]
    rows = shapes[0][0] if shapes else config.get("vocab_size")
    if isinstance(rows, int) and tokens > rows:
        told = {"file": "tokenizer.json", "tokens": tokens, "rows": rows}
        raise CheckpointRefused(_("{file} has {tokens} tokens, but the embedding has {rows} rows.").format(**told))


def _count_tokens(tokenizer: dict[str, Any]) -> int:
    """The highest token id and one, of the vocabulary (by id or in order) and the tokens added to it."""
    try:
        vocabulary = tokenizer["model"]["vocab"]
        numbers = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
        numbers += [added["id"] for added in tokenizer.get("added_tokens") or []]
        return int(max(numbers, default=-1)) + 1
    except (KeyError, TypeError, AttributeError, ValueError):
        raise CheckpointRefused(_("{file} is not a tokenizer.").format(file="tokenizer.json")) from None


def _parse(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise CheckpointRefused(_("{file} is not valid JSON.").format(file=file.name)) from None


def _read_json(file: Path) -> dict[str, Any]:
    content = _parse(file)
    if not isinstance(content, dict):
        raise CheckpointRefused(_("{file} is not an object in braces.").format(file=file.name))
    return content


def _count(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
