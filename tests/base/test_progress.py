"""Progress: told after each item, and never printed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from hornbook.base.progress import configure_logging, silent, tracked


def test_tracked_yields_the_items_and_tells_of_each() -> None:
    told: list[tuple[int, int | None]] = []
    items = list(tracked("abc", lambda done, total, note="": told.append((done, total)), total=3))
    assert items == ["a", "b", "c"]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_item_counts_once_its_work_is_done() -> None:
    """The loop body of the first item runs before the first report."""
    told: list[int] = []
    for _ in tracked([1, 2], lambda done, total, note="": told.append(done)):
        seen = list(told)
        break
    assert seen == [] and told == []


def test_tracked_is_lazy() -> None:
    def endless() -> Iterator[int]:
        yield 1
        raise AssertionError("asked for more than was wanted")

    assert next(tracked(endless(), silent)) == 1


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    list(tracked(range(3), silent))
    silent(1, None, "note")
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def hornbook_logger() -> Iterator[logging.Logger]:
    """The package's logger, put back as it was afterwards."""
    logger = logging.getLogger("hornbook")
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_logging_goes_to_standard_error_once(
    capsys: pytest.CaptureFixture[str], hornbook_logger: logging.Logger
) -> None:
    configure_logging()
    configure_logging(logging.INFO)
    logging.getLogger("hornbook.data").info("three files skipped")
    logging.getLogger("hornbook.data").debug("not asked for")
    assert len(hornbook_logger.handlers) == 1
    assert capsys.readouterr() == ("", "INFO hornbook.data: three files skipped\n")
