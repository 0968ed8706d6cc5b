"""Floor 2: how a model is spread and held: recomputation today; processes, meshes and their kinds to come."""
