"""What the tests of whole runs share, given to this room too."""

from __future__ import annotations

from train.conftest import material as material
