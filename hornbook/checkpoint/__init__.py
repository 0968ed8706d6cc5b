"""Floor 3: the run folder, the unit of exchange between all stages; only this room knows files of weights."""
