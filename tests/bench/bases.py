"""What a base loses when it is held in bf16 or in 4 bits, and what that saves: the bundled checkpoint, on a CPU.

    python -m tests.bench.bases [answers]

The checkpoint as it is stored answers the demo prompts; each way of holding it reads those answers. Nats are of the
divergence from the stored base a token, by the answers' own log-probabilities; time is of a forward and backward pass
over all answers with adapters of rank 16, and of sampling them.
"""

import sys
import time

import torch

from app.checkpoints.queries import BUNDLED
from app.training.configs import SFTConfig
from workers.demo.prompts import demo_prompts
from workers.sampling.decoding import Sampling, sample
from workers.training.bases import open_base
from workers.training.lessons import ADAPTER, Student, open_student
from workers.training.packed import Packed
from workers.training.packing import Text

WAYS = ("float32", "bfloat16", "nf4")


def main(count: int) -> None:
    torch.set_num_threads(2)
    texts: list[Text] = []
    stored = torch.zeros(())
    print(f"{'held in':<10} {'maps, MB':>9} {'all, MB':>9} {'nats/token':>11} {'train, s':>9} {'tokens/s':>9}")
    for way in WAYS:
        student = open_student(open_base(BUNDLED, "cpu", way), SFTConfig(base_precision=way))
        prompts = [student.opened.prompt_ids([("user", prompt.text)]) for prompt in demo_prompts()[:count]]
        drawn, seconds = answered(student, prompts)
        texts = texts or [Text(prompt, answer) for prompt, answer in zip(prompts, drawn, strict=True)]
        with torch.no_grad():
            said = student.answer_sums(texts)
        stored = stored if way != WAYS[0] else said
        tokens = sum(len(text.answer) for text in texts)
        maps, whole = held(student)
        told = (maps / 1e6, whole / 1e6, float((stored - said).sum()) / tokens, practised(student, texts))
        rate = sum(map(len, drawn)) / seconds
        print(f"{way:<10} {told[0]:>9.2f} {told[1]:>9.2f} {told[2]:>11.4f} {told[3]:>9.2f} {rate:>9.0f}", flush=True)


def answered(student: Student, prompts: list[list[int]]) -> tuple[list[list[int]], float]:
    opened, backbone = student.opened, student.backbone
    began = time.perf_counter()
    with backbone.folded(ADAPTER):
        groups = sample(
            backbone.network, prompts, Sampling(temperature=1.0, max_tokens=64), n=1, seeds=list(range(len(prompts))),
            stop_ids=set(opened.stop_ids), pad_id=opened.pad_id, token_budget=32_768,
        )  # fmt: skip
    return [group[0].tokens for group in groups], time.perf_counter() - began


def practised(student: Student, texts: list[Text]) -> float:
    began = time.perf_counter()
    for first in range(0, len(texts), 16):
        student.answer_sums(texts[first : first + 16]).sum().backward()
    return time.perf_counter() - began


def held(student: Student) -> tuple[int, int]:
    """Bytes of the layers' maps, and of the whole base."""
    maps = 0
    for place in student.backbone.adapted.values():
        if isinstance(place.linear, Packed):
            state = place.linear.state
            held = (place.linear.packed, state.absmax, state.state2.absmax, state.state2.code, state.code)
            maps += sum(tensor.numel() * tensor.element_size() for tensor in held)
        else:
            maps += place.linear.weight.numel() * place.linear.weight.element_size()
    rest = [
        tensor for path, tensor in student.backbone.network.named_parameters()
        if ".adapters." not in path and ".linear." not in path
    ]  # fmt: skip
    return maps, maps + sum(tensor.numel() * tensor.element_size() for tensor in rest)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
