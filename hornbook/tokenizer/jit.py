"""Compiled functions: Numba behind one typed decorator, and the arrays they work on.

A module that holds `@jit` functions loads Numba and is therefore imported only inside the functions that
need it. Nothing is compiled at import: the first call compiles, and the machine code is kept in
Numba's cache for the next process. Numba notices an edit only in the file of the function itself, so
a compiled function calls compiled functions of its own file alone. The values of constants are compiled in:
after one that another file imports was edited, the caches, `__pycache__/*.nb?`, are to be removed.
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
UInt64s = npt.NDArray[np.uint64]

Integer = Any
"""A number inside compiled code, where Python's integers and numpy's are the same."""

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile a function on its first call, to run without the GIL; cache it where a cache can be written."""
    return _compiled(function, nogil=True)


def jit_with_gil(function: Function) -> Function:
    """The same for a function that touches Python's objects."""
    return _compiled(function, nogil=False)


def _compiled(function: Function, nogil: bool) -> Function:
    import numba

    try:
        compiled = numba.njit(cache=True, nogil=nogil)(function)
    except RuntimeError:  # Numba found no folder to write its cache in.
        compiled = numba.njit(nogil=nogil)(function)
    return cast(Function, compiled)


def inlined(function: Function) -> Function:
    """Compile a function into each function that calls it.

    To call a compiled function costs as much as a few dozen instructions where it takes arrays.
    """
    import numba

    return cast(Function, numba.njit(nogil=True, inline="always")(function))


def c_function(name: str, result: str, *arguments: str) -> Any:
    """Return a function of Python's C interface, by Numba's names of its types, to be called from functions
    compiled `jit_with_gil`.
    """
    from numba import types

    return types.ExternalFunction(name, getattr(types, result)(*(getattr(types, each) for each in arguments)))
