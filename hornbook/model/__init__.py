"""Floor 1: the one transformer core: typed config, parts, masks, caches, and its readable twin.

The core knows tensors of token ids and nothing of text, files, processes or published families.
"""
