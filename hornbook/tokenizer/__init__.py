"""Floor 1: byte-level BPE, from counting words to ids, read in `reference.py` and run in the other files.

`Tokenizer` is the class to use; `StreamDecoder` turns generated ids into text as they come. Importing this
room compiles nothing and does not load Numba.
"""

from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.stream import StreamDecoder
from hornbook.tokenizer.tokenizer import END_OF_TEXT, Specials, Tokenizer

__all__ = ["END_OF_TEXT", "PATTERNS", "Specials", "StreamDecoder", "Tokenizer"]
