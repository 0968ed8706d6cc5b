"""Floor 4: what to train in the time there is: this machine's speed, the memory it takes, and the dial."""
