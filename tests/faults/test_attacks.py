"""A hundred seeded attacks of each kind: right or refused clearly, nothing else."""

from __future__ import annotations

from collections import Counter

import pytest
from attacks import ATTACKS, outcome


@pytest.mark.parametrize("name", ATTACKS)
def test_what_comes_from_outside_is_right_or_refused_clearly(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = ATTACKS[name](tmp_path, 100)
    assert found.keys() <= {"right", "refused"}, found
    assert found["refused"] >= 20


def test_the_judge_of_attacks_sees_what_must_not_be():
    def fails(error):
        def right():
            raise error

        return right

    kinds = Counter(
        outcome("a.pt", right).partition(":")[0]
        for right in (
            lambda: True,
            lambda: False,
            fails(ValueError("a.pt is not whole; download it again")),
            fails(ValueError("something is not whole")),
            fails(ValueError("a.pt: re-run with weights_only=False")),
            fails(IndexError("a.pt")),
        )
    )
    assert kinds == {"right": 1, "wrong in silence": 1, "refused": 1, "riddle": 2, "traceback": 1}
