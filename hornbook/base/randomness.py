"""Random streams split by purpose, so that drawing more for one never shifts another.

`stream(seed, "data", epoch)` always gives the same generator, whatever was drawn elsewhere before.
Torch generators are seeded with `stream_seed` by the rooms that know torch.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream_seed(seed: int, purpose: str, *indices: int) -> int:
    """Return a 63-bit seed for one purpose: the SHA-256 of seed, purpose and indices, cut short.

    The purpose has no slash: it stands between the parts that are hashed.
    """
    assert "/" not in purpose, f"purpose {purpose!r}: give the numbers as indices, without slashes"
    name = "/".join([str(seed), purpose, *map(str, indices)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1


def stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Return numpy's PCG64 generator for one purpose."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, purpose, *indices)))
