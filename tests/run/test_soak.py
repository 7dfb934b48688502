"""A soak refuses numbers with which it would run nothing, or for ever."""

from __future__ import annotations

import pytest

from tests.run.soak import arguments


@pytest.mark.parametrize(
    ("wrong", "least"),
    [("--times 0", 1), ("--busy -1", 0), ("--stalls -1.0", 0), ("--stalls nan", 0), ("--processes 0", 1)],
)
def test_a_number_that_is_too_small_is_named_with_the_least(wrong, least, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(wrong.split())
    assert ended.value.code == 2
    assert f"{wrong}: it must be at least {least}" in capsys.readouterr().err
