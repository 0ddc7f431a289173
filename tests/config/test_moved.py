"""Configurations saved before a class moved still name it."""

import importlib

import pytest

from gnnrec.config import moved
from gnnrec.config.instantiate import instantiate


@pytest.mark.parametrize("target", [*moved._NAMES, *(f"{m}.X" for m in moved._MODULES)])
def test_every_old_place_leads_to_a_module_that_exists(target):
    module, _, name = moved.present(target).rpartition(".")
    found = importlib.import_module(module)
    assert name == "X" or hasattr(found, name)


def test_an_object_is_made_from_its_old_name():
    assert type(instantiate({"_target_": "gnnrec.models.objectives.BPR", "l2": 0.5})).__name__ == "BPR"
    assert type(instantiate({"_target_": "gnnrec.data.stream.ByCount"})).__name__ == "ByCount"


def test_a_name_that_never_moved_stays():
    assert moved.present("gnnrec.strategies.replay.Replay") == "gnnrec.strategies.replay.Replay"
