"""Floor 4: what to train in the time there is: this machine's speed, and the dial that derives the rest."""
