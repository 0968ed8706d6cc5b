"""Floor 3: from a model to text: choosing tokens, decoding with a cache, streaming, sessions.

Knows models and tokenizers, and nothing of run folders, training or terminals.
"""
