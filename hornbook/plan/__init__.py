"""Floor 4: what to train with what there is: speed, cards, memory, the dial, the scaling law, budgets."""
