"""A small network with its tokenizer, for batches."""

from tests.training.conftest import base_folder, opened

__all__ = ["base_folder", "opened"]
