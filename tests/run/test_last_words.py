"""What a failed test shows of the logs in its folder."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.slow
@pytest.mark.parametrize(("outcome", "shown"), [("False", True), ("True", False)], ids=["fails", "passes"])
def test_only_a_failed_test_shows_the_end_of_each_log(pytester, outcome, shown):
    pytester.makepyfile(
        f"""
        def test_it(tmp_path):
            (tmp_path / "b").mkdir()
            (tmp_path / "a.log").write_text("".join(f"line {{number}}\\n" for number in range(1_000)))
            (tmp_path / "b" / "c.log").write_bytes(b"not UTF-8 \\xff")
            (tmp_path / "b" / "00000000000000000000.log").write_text("records")
            assert {outcome}
        """
    )

    output = pytester.runpytest("-p", "tests.run.last_words", "-p", "no:randomly").stdout.str()

    assert ("last words of a.log" in output) is shown
    assert ("line 999" in output) is shown
    assert "line 900" not in output
    assert ("last words of b/c.log" in output) is shown
    assert "last words of b/000" not in output
