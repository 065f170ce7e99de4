"""The table of faults is written from tests that exist, and each fault has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import faults


def test_table__is_written_from_the_tests() -> None:
    assert faults.PAGE.read_text("utf-8") == faults.page(), "run `python -m tests.faults`"


def test_every_fault__has_a_test() -> None:
    assert set(faults.FAULTS) - {proof.fault for proof in faults.proofs()} == set()


def test_faults__are_numbered_without_a_gap() -> None:
    numbers = sorted(int(name.removeprefix("F")) for name in faults.FAULTS)
    assert numbers == list(range(1, len(numbers) + 1))


def test_marks__are_found_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text(
        """
import pytest
pytestmark = [pytest.mark.slow, pytest.mark.fault("F1")]
@pytest.mark.fault("F2", "F1")
@pytest.mark.django_db
def test_one(): ...
if True:
    @pytest.mark.fault("F3")
    class TestMany:
        def test_two(self): ...
        def helper(self): ...
@pytest.mark.fault("F4")
def not_a_test(): ...
"""
    )

    found = faults.proofs(tmp_path / "tests")

    assert {proof.file for proof in found} == {"tests/test_one.py"}
    assert [(proof.test, proof.fault) for proof in found] == [
        ("test_one", "F1"),
        ("test_one", "F2"),
        ("test_two", "F1"),
        ("test_two", "F3"),
    ]


@pytest.mark.parametrize("named", ['"F42"', "", "NUMBER", '"F1", "f2"'])
def test_fault_that_is_not_in_the_table__is_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / "test_one.py").write_text(f"@pytest.mark.fault({named})\ndef test_one(): ...\n")

    with pytest.raises(faults.UnknownFault, match=r"test_one\.py:1: pytest\.mark\.fault"):
        faults.proofs(tmp_path)
