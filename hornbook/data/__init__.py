"""Floor 2: everything that makes batches: token shards, windows, packing, mixtures, loaders with a cursor."""
