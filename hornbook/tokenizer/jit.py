"""Compiled functions: Numba behind one typed decorator, and the arrays they work on.

A module that holds `@jit` functions loads Numba and is therefore imported only inside the functions that
need it. Nothing is compiled at import: the first call compiles, and the machine code is kept in
Numba's cache for the next process. Numba notices an edit only in the file of the function itself, so
a compiled function calls compiled functions of its own file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]

Integer = Any
"""A number inside compiled code, where Python's integers and numpy's are the same."""

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile a function on its first call, to run without the GIL; cache it where a cache can be written."""
    import numba

    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # Numba found no folder to write its cache in.
        compiled = numba.njit(nogil=True)(function)
    return cast(Function, compiled)


def inlined(function: Function) -> Function:
    """Compile a function into each function that calls it.

    To call a compiled function costs as much as a few dozen instructions where it takes arrays.
    """
    import numba

    return cast(Function, numba.njit(nogil=True, inline="always")(function))
