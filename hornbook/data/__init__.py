"""Floor 2: everything that makes batches: token shards on disk, windows over them, a loader with a cursor."""
