"""Checks are answered at once, or with the result; the simulated device of tests/device counts the waits."""

from __future__ import annotations

import pytest
import torch

from wsolbook.doubts import later, wrong
from wsolbook.maps import require_finite

NAN = torch.full((1, 2, 2), torch.nan)


def test_at_once_where_nobody_waits():
    with later() as marked:
        assert wrong(torch.tensor(True))
        assert not wrong(torch.tensor(False))
        with pytest.raises(ValueError, match="holds nan"):
            require_finite(NAN)
        numbers = torch.ones(2)
        assert marked(numbers) is numbers


def test_a_device_answers_with_the_result():
    strange, fine = torch.tensor(True, device="meta"), torch.ones(2, device="meta")
    with later() as marked:
        assert not wrong(strange)
        with later() as inner:
            assert inner(fine) is fine  # what was asked outside is no matter of this block
        assert marked(fine) is not fine
    with pytest.raises(RuntimeError):  # outside, the answer is wanted at once, and meta has none
        wrong(strange)
