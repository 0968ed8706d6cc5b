"""File formats: what a tokenizer is read from and written to; `formats.py` knows which is which."""
