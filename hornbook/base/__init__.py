"""Floor 0: what every room stands on: errors, typed config, atomic files, progress, random streams.

No torch, no numba, nothing that takes long to import.
"""
