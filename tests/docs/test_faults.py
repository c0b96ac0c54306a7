"""The page of faults names tests that exist, and the published kills resumed equal."""

import re
from pathlib import Path

import kills
import pytest

from ganbench.files import read_json

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published" / "kills"
ROWS = [
    line.split(" | ")
    for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


@pytest.fixture(scope="module")
def chains():
    return read_json(PUBLISHED / "kills.json")["chains"]


def test_named_tests_exist():
    for row in ROWS:
        path, *names = re.findall(r"`([\w/.]+)`", row[-1])
        source = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert names
        assert [name for name in names if f"def {name}(" not in source] == []


def test_every_item_and_case_is_held():
    assert {int(row[0].strip("| ")) for row in ROWS} == set(range(1, 16))
    cases = {row[1].strip() for row in ROWS} - {""}
    missing = {2, 3, 9}  # these numbers have no case
    assert cases == {f"R{number}" for number in range(1, 23) if number not in missing}


def test_published_kills_resumed_equal(chains):
    killed = [kill for chain in chains for kill in chain["kills"]]
    assert len(killed) >= 200
    assert {kill["phase"] for kill in killed} == set(kills.KINDS)
    assert [chain for chain in chains if chain["differences"] or chain["left_overs"]] == []
    assert {chain["code"] for chain in chains} == {0}
    assert [kill for kill in killed if kill["seconds_of_orphans"] is None] == []
    traced = [chain["executor"] for chain in chains for kill in chain["kills"] if kill["traceback"]]
    assert "local" not in traced  # on clusters, programs of others print some
    assert len(traced) < 5


def test_page_of_kills_equals_its_rows(chains):
    page = (PUBLISHED / "README.md").read_text(encoding="utf-8")
    assert page == kills.render_page(chains)
