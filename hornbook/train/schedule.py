"""The learning rate over a run, as a share of the peak."""

from __future__ import annotations

import math

from hornbook.train.config import (
    ConstantConfig,
    CosineConfig,
    InverseSquareRootConfig,
    LinearConfig,
    ScheduleConfig,
    WarmupStableDecayConfig,
)


def learning_rate_share(config: ScheduleConfig, step: int, steps: int) -> float:
    """The share of the peak learning rate at a step, counted from 0, of a run of `steps`."""
    done = (step + 1) / steps
    if config.warmup_share > 0 and done <= config.warmup_share:
        return done / config.warmup_share
    left = 1.0 - step / steps
    match config:
        case ConstantConfig():
            return 1.0
        case LinearConfig():
            return config.final_share + (1.0 - config.final_share) * _share_left(config.warmup_share, left)
        case CosineConfig():
            cosine = 0.5 - 0.5 * math.cos(math.pi * _share_left(config.warmup_share, left))
            return config.final_share + (1.0 - config.final_share) * cosine
        case InverseSquareRootConfig():
            return math.sqrt(max(config.warmup_share, 1 / steps) / done)
        case WarmupStableDecayConfig():
            return min(1.0, left / config.decay_share) if config.decay_share > 0 else 1.0


def _share_left(warmup_share: float, left: float) -> float:
    """How much is left of the way down, which begins where the warm-up ends."""
    return min(left / (1.0 - warmup_share), 1.0)
