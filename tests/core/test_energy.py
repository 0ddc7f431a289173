"""Counters of energy: domains once, past their end, and where they may not be read."""

from __future__ import annotations

import pytest

from gnnrec.core.energy import Meter

END = 999_999


@pytest.fixture
def zones(tmp_path):
    """Return a machine of one package with memory, cores and psys, which count what the others count too."""
    for zone, name in (("0", "package-0"), ("0:0", "core"), ("0:1", "dram"), ("1", "psys")):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        for file, text in (("name", name), ("max_energy_range_uj", END), ("energy_uj", 400_000)):
            (folder / file).write_text(f"{text}\n")
    return tmp_path


def count(zones, zone, value):
    (zones / f"intel-rapl:{zone}" / "energy_uj").write_text(f"{value}\n")


def test_package_and_memory_are_added_up_and_their_parts_are_not(zones):
    meter = Meter(zones)
    for zone in ("0", "0:0", "0:1", "1"):
        count(zones, zone, 900_000)
    assert meter.joules() == pytest.approx(1.0)


def test_a_counter_that_went_past_its_end_goes_on(zones):
    meter = Meter(zones)
    for value in (900_000, 100_000, 300_000):  # + 500,000, + 200,000 past the end, + 200,000
        count(zones, "0", value)
        meter.look()
    assert meter.joules() == pytest.approx(0.9)


def test_where_it_cannot_be_read_there_is_no_number(zones, tmp_path):
    assert Meter(tmp_path / "nowhere").joules() is None
    meter = Meter(zones)
    (zones / "intel-rapl:0:1" / "energy_uj").unlink()
    assert meter.joules() is None
    assert Meter(zones).joules() is None
