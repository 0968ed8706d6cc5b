"""Floor 4: learning: objectives, the step, the loop, optimizers, schedules, hooks, and the finished run."""
