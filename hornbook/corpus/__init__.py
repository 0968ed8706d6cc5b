"""Floor 1: text on its way to a model: documents, readers, deduplication, the held-out split, the ledger.

`pipeline.build_corpus` runs the whole way. Every step is a generator over documents and books what it
does in a ledger. No torch.
"""
