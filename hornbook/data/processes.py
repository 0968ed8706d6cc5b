"""The same work on many pieces, by several processes that never outlive the one that asked.

    for number, result in work_on(function, arguments, n_processes=4): ...

Each process is handed one piece at a time over a pipe. When the asking process ends, however it ends, the
pipe closes and its workers leave. What goes through the pipe is functions of modules, and plain data.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from hornbook.base.errors import HornbookError


def work_on(
    function: Callable[[Any], Any], arguments: Sequence[Any], n_processes: int
) -> Iterator[tuple[int, Any]]:
    """Yield (number, result) for each argument as it is done, in whatever order.

    With one process the work is done in this one. What a piece raises is raised here.
    """
    if n_processes <= 1 or len(arguments) <= 1:
        yield from ((number, function(argument)) for number, argument in enumerate(arguments))
        return
    with ExitStack() as stack:
        n_workers = min(n_processes, len(arguments))
        idle = [stack.enter_context(_worker(function)) for _ in range(n_workers)]
        waiting = iter(enumerate(arguments))
        busy: dict[Connection, int] = {}
        while True:
            while idle and (piece := next(waiting, None)) is not None:
                connection = idle.pop()
                busy[connection] = piece[0]
                connection.send(piece[1])
            if not busy:
                return
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                yield busy.pop(ready), _received(ready)
                idle.append(ready)


@contextmanager
def _worker(function: Callable[[Any], Any]) -> Iterator[Connection]:
    """A process that applies a function to whatever it is sent; it is ended with the block."""
    # Spawned, not forked: a fork would inherit the pipes of its siblings, and locks that threads hold.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    """What a worker does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked.
    while True:
        try:
            argument = connection.recv()
        except EOFError:
            return
        answer: tuple[Any, Exception | None]
        try:
            answer = function(argument), None
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = None, error
        try:
            connection.send(answer)
        except BrokenPipeError:
            return


def _received(connection: Connection) -> Any:
    """What a worker answered; what it raised is raised."""
    try:
        result, error = connection.recv()
    except (EOFError, ConnectionError):
        raise HornbookError(
            "a worker process was killed, by the system where memory ran out; give fewer --workers"
        ) from None
    if error is not None:
        raise error
    return result
