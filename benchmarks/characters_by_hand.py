"""A language model of letters as people write it for one text: the peer of `time_to_loss.py`.

    python benchmarks/characters_by_hand.py TEXT OUT      # OUT: the weights, in safetensors

The numbers are those that nanoGPT's README gives for a run on a laptop without a GPU; the model is the one of
`hand_written.py`. Not compiled, float32, as there.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from hand_written import LearnedPositions
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

SEQ_LEN, BATCH_SIZE = 64, 12
WIDTH, LAYERS, HEADS = 128, 4, 4
STEPS, WARM_UP = 2000, 100
PEAK, LAST = 1e-3, 1e-4
ESTIMATE_EVERY, ESTIMATE_BATCHES = 250, 20


class Letters:
    """A text as numbers, one for each different letter; the last tenth is held out."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        number = {letter: i for i, letter in enumerate(sorted(set(text)))}
        ids = torch.tensor([number[letter] for letter in text])
        cut = int(0.9 * len(ids))
        self.n_letters, self.train, self.held_out = len(number), ids[:cut], ids[cut:]


def fresh_model(n_letters: int) -> LearnedPositions:
    """Normal weights of deviation 0.02, shrunk by depth where a branch ends."""
    model = LearnedPositions(n_letters, SEQ_LEN, WIDTH, LAYERS, HEADS)
    for name, weight in model.named_parameters():
        ends_branch = name.endswith(("attention.out.weight", "down.weight"))
        if weight.ndim == 2:
            nn.init.normal_(weight, std=0.02 / math.sqrt(2 * LAYERS) if ends_branch else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
    return model


def read_model(path: Path, n_letters: int) -> LearnedPositions:
    """The model that a run has saved."""
    model = LearnedPositions(n_letters, SEQ_LEN, WIDTH, LAYERS, HEADS)
    model.load_state_dict(load_file(path) | {"head.weight": load_file(path)["tokens.weight"]})
    return model.eval()


def draw(ids: Tensor) -> tuple[Tensor, Tensor]:
    """A batch of pieces from anywhere, and what follows each letter."""
    starts = torch.randint(len(ids) - SEQ_LEN, (BATCH_SIZE, 1))
    places = starts + torch.arange(SEQ_LEN)
    return ids[places], ids[places + 1]


def loss_of(model: LearnedPositions, ids: Tensor) -> Tensor:
    """The mean loss of a batch."""
    tokens, targets = draw(ids)
    return functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def learning_rate(step: int) -> float:
    """Up in a line, then half a cosine down."""
    if step < WARM_UP:
        return PEAK * (step + 1) / (WARM_UP + 1)
    done = (step - WARM_UP) / (STEPS - WARM_UP)
    return LAST + (PEAK - LAST) * (1 + math.cos(math.pi * done)) / 2


def train(letters: Letters) -> LearnedPositions:
    """The whole run."""
    torch.manual_seed(1337)
    model = fresh_model(letters.n_letters)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99))
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        if step % ESTIMATE_EVERY == 0:
            estimate(model, letters)
        loss = loss_of(model, letters.train)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    estimate(model, letters)
    return model


@torch.no_grad()
def estimate(model: LearnedPositions, letters: Letters) -> None:
    """Print the loss on some batches of either part."""
    losses = [
        sum(loss_of(model, ids).item() for _ in range(ESTIMATE_BATCHES)) / ESTIMATE_BATCHES
        for ids in (letters.train, letters.held_out)
    ]
    print(*(f"{loss:.4f}" for loss in losses))


if __name__ == "__main__":
    trained = train(Letters(Path(sys.argv[1])))
    weights = {name: weight for name, weight in trained.state_dict().items() if name != "head.weight"}
    save_file(weights, sys.argv[2])
