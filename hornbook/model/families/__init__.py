"""Families: how published models are named and numbered. Each is one file; the core never hears of it.

A family reads the configuration of a published model into one of ours, writes one back, and says by rules how
the tensors are called and laid out. `reading.py` sees to it that nothing in a configuration is passed over,
`rules.py` carries tensors across, `classes.py` makes classifiers of decoders.
"""
