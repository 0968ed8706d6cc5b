"""The learning rate over a run, as a share of the peak."""

from __future__ import annotations

import math

from hornbook.train.config import ConstantConfig, CosineConfig, ScheduleConfig


def learning_rate_share(config: ScheduleConfig, step: int, steps: int) -> float:
    """The share of the peak learning rate at a step, counted from 0, of a run of `steps`."""
    done = (step + 1) / steps
    if config.warmup_share > 0 and done <= config.warmup_share:
        return done / config.warmup_share
    if isinstance(config, ConstantConfig):
        return 1.0
    left = 1.0 - step / steps
    if isinstance(config, CosineConfig):
        share_left = min(left / (1.0 - config.warmup_share), 1.0)
        cosine = 0.5 - 0.5 * math.cos(math.pi * share_left)
        return config.final_share + (1.0 - config.final_share) * cosine
    return min(1.0, left / config.decay_share) if config.decay_share > 0 else 1.0
