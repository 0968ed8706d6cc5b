"""Lists of ids without making a Python integer for each, filled by compiled code.

Each id of a list is else an object of its own. Here the object of each id is made once, and lists refer to
it: they are made and freed faster and need a fifth of the memory. They are filled through two functions of
Python's own C interface, which see to the counts of references; so the compiled function holds the GIL.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np

from hornbook.tokenizer.jit import Int32s, Int64s, c_function, jit_with_gil

FEW = 100
"""Fewer ids are not worth the call."""

_refer_to = c_function("Py_IncRef", "void", "intp")
_put = c_function("PyList_SetItem", "int32", "intp", "intp", "intp")


class Numbers:
    """Python's integers from 0 up to a vocabulary's size."""

    def __init__(self, size: int) -> None:
        self._objects = list(range(size))
        self._addresses = _addresses(self._objects)

    def list_of(self, ids: Int32s) -> list[int]:
        """Return ids, which are below the size, as a list."""
        if len(ids) < FEW:
            numbers: list[int] = ids.tolist()
            return numbers
        return self.lists_of(ids, [len(ids)])[0]

    def lists_of(self, ids: Int32s, stops: list[int]) -> list[list[int]]:
        """Return ids as lists, each up to the next of some places; an `IndexError` where one is not below the
        size.
        """
        lists: list[list[None]] = [[None] * (stop - start) for start, stop in pairwise([0, *stops])]
        if not _fill(_addresses(lists), np.array(stops, np.int64), ids, self._addresses):
            raise IndexError(f"an id is not among 0 to {len(self._objects) - 1}")
        return cast(list[list[int]], lists)


def _addresses(objects: list[int] | list[list[None]]) -> Int64s:
    """Where objects are in memory, which in CPython is their `id`."""
    return np.fromiter(map(id, objects), np.int64, len(objects))


@jit_with_gil
def _fill(lists: Int64s, stops: Int64s, ids: Int32s, objects: Int64s) -> bool:
    """Put the objects of ids into lists of the right lengths, all given by their addresses."""
    at = 0
    for number in range(len(lists)):
        first = at
        while at < stops[number]:
            token = ids[at]
            if not 0 <= token < len(objects):
                return False
            # The list takes over the reference.
            _refer_to(objects[token])
            _put(lists[number], at - first, objects[token])
            at += 1
    return True
