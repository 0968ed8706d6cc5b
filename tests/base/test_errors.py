"""Error messages and the spelling help they carry."""

from __future__ import annotations

import pytest

from hornbook.base import errors

FAMILY = [errors.ConfigError, errors.TextError, errors.RunFolderError, errors.MissingPackageError]


@pytest.mark.parametrize("cls", FAMILY)
def test_every_error_is_a_hornbook_error(cls: type[Exception]) -> None:
    assert issubclass(cls, errors.HornbookError)
    assert not issubclass(cls, ValueError | KeyError)


def test_a_missing_package_says_what_to_type() -> None:
    message = str(errors.MissingPackageError("ray", "corpus"))
    assert message == "this needs the package ray; type: pip install 'hornbook[corpus]'"


@pytest.mark.parametrize(
    ("word", "known", "answer"),
    [
        ("stepz", ["steps", "seed"], "did you mean 'steps'?"),
        ("n_layer", ["d_model", "n_layers", "n_heads"], "did you mean 'n_layers'?"),
        ("banana", ["steps", "seed"], "known: seed, steps"),
        ("banana", (name for name in ("b", "a")), "known: a, b"),
        ("banana", [], "there are none"),
    ],
)
def test_did_you_mean(word: str, known: list[str], answer: str) -> None:
    assert errors.did_you_mean(word, known) == answer


def test_a_tie_is_broken_the_same_way_whatever_the_order() -> None:
    assert errors.did_you_mean("ab", ["abx", "aby"]) == errors.did_you_mean("ab", ["aby", "abx"])
