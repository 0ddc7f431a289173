"""Every YAML that ships can be built, and what is wrong is answered with what would be right."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml

from gnnrec.config import options
from gnnrec.config.compose import chosen, compose
from gnnrec.config.instantiate import instantiate
from gnnrec.core.errors import GnnrecError
from gnnrec.runs import build

GROUPS = options.groups()
OPTIONS = [f"{group}={option}" for group, options in GROUPS.items() for option in options]


def targets(node):
    """Return every `_target_` in a tree."""
    if isinstance(node, list):
        return [t for v in node for t in targets(v)]
    if not isinstance(node, dict):
        return []
    return ([node["_target_"]] if "_target_" in node else []) + [t for v in node.values() for t in targets(v)]


def find(target: str):
    module, _, name = target.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


def test_the_groups_are_those_of_the_design():
    named = {"data", "stream", "graph", "encoder", "objective", "strategy", "fit", "trainer", "evaluation", "scorer"}
    assert named | {"logger", "sweep", "experiment", "init", "policy", "live", "launcher"} == set(GROUPS)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_names_only_what_exists(option):
    found = compose([option])
    assert targets(found)
    for target in targets(found):
        assert callable(find(target)), target


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.split("=")[0] in ("graph", "init", "strategy", "stream")])
def test_every_option_that_needs_no_data_is_built(option):
    group = option.split("=")[0]
    assert type(instantiate(compose([option])[group], at=group)).__module__.startswith("gnnrec.")


@pytest.mark.parametrize("option", [f"{g}={o}" for g in ("encoder", "objective", "fit", "scorer") for o in GROUPS[g]])
def test_every_part_of_a_model_is_built(option):
    made = compose([option])
    scene = build.scene(compose(["data.users=30", "data.items=20", "data.events=300", "stream.increments=2"]))
    learner = build.learner(made, scene.setting)
    assert learner.encoder.width == made["encoder"]["width"]
    assert learner.fits.update.lr == made["fit"]["lr"]


@pytest.mark.parametrize("option", GROUPS["data"])
def test_every_data_set_is_built_without_touching_a_file(option):
    assert hasattr(instantiate(compose([f"data={option}"])["data"], at="data"), "load")


@pytest.mark.parametrize("name", GROUPS["experiment"])
def test_an_experiment_keeps_its_name_and_lists_known_strategies(name):
    made = compose([f"experiment={name}"])
    assert made["name"] == name
    assert made["output"] == f"runs/{name}"
    assert made["seeds"]
    assert set(made["strategies"]) <= set(GROUPS["strategy"])


@pytest.mark.parametrize("path", sorted(options.folder().glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_no_key_of_a_target_is_unknown_to_it(path):
    node = yaml.safe_load(path.read_text())
    if not (isinstance(node, dict) and "_target_" in node):
        return
    known = inspect.signature(find(node["_target_"])).parameters
    assert {k for k in node if not k.startswith("_") and k not in ("base", "defaults")} <= set(known)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["fit.learning_rat=1"], "fit.lear"),
        (["evaluation.topkk=[20]"], "did you mean 'evaluation.topk'"),
        (["sede=1"], "did you mean 'seed'"),
        (["strategy=fine_tun"], "there is no strategy=fine_tun; did you mean 'fine_tune'"),
        (["experiment=quikstart"], "did you mean 'quickstart'"),
        (["data=ml-1mm"], "did you mean 'ml-1m'"),
        (["stream=zzzzzz"], "allowed: by_column, by_count, by_time"),
        (["seed"], "KEY=VALUE"),
        (["seed=[1"], "'seed=[1' is not understood"),
        (["seed=abc"], "seed=abc is not a whole number"),
        (["resume=perhaps"], "resume=perhaps is not true or false"),
        (["seeds=3"], "seeds=3 is not a list"),
    ],
)
def test_what_is_wrong_is_answered_with_the_nearest_that_is_right(overrides, said):
    with pytest.raises(GnnrecError) as caught:
        compose(overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"_target_": "os.system", "command": "true"}, "'os.system' is not allowed"),
        ({"_target_": "gnnrec_evil.run"}, "is not allowed"),
        ({"_target_": "gnnrec.strategies.nowhere.Nothing"}, "cannot be found"),
        ({"_target_": "gnnrec.strategies.replay.Replay", "budgit": 3}, "did you mean 'budget'"),
        ({"_target_": "gnnrec.strategies.replay.Replay", "budget": "many"}, "budget=many is not a whole number"),
        ({"_target_": "gnnrec.strategies.replay.Replay", "store": {"_target_": "os.getcwd"}}, "not allowed"),
    ],
)
def test_a_target_is_only_what_is_allowed_with_arguments_it_takes(node, said):
    with pytest.raises(GnnrecError) as caught:
        instantiate(node)
    assert said in str(caught.value)


def test_a_plugin_s_prefix_can_be_allowed():
    assert instantiate({"_target_": "fractions.Fraction", "numerator": 3}, allow=["fractions."]).numerator == 3
    with pytest.raises(GnnrecError, match="plugins"):
        build.strategy(compose(["strategy._target_=fractions.Fraction"]))


def test_an_own_folder_adds_options_and_may_not_replace_targets_at_will(tmp_path: Path):
    (tmp_path / "strategy").mkdir()
    text = "_target_: gnnrec.strategies.replay.Replay\nbudget: 7\nseed: ${seed}\n"
    (tmp_path / "strategy" / "mine.yaml").write_text(text)
    found = compose(["strategy=mine"], tmp_path)
    assert found["strategy"]["budget"] == 7
    assert "mine" in options.groups(tmp_path)["strategy"]
    with pytest.raises(GnnrecError, match="did you mean 'mine'"):
        compose(["strategy=minee"], tmp_path)


def test_what_was_composed_once_is_composed_again_where_a_file_has_changed(tmp_path):
    option = tmp_path / "strategy" / "mine.yaml"
    option.parent.mkdir()
    for value in (0.25, 0.5):
        option.write_text(f"_target_: gnnrec.strategies.distil.pull.Pull\nstrength: {value}\nseed: 0\n")
        for _ in range(2):
            assert compose(["strategy=mine"], tmp_path)["strategy"]["strength"] == value
            assert chosen("strategy", ["strategy=mine"], tmp_path) == "mine"
    (tmp_path / "strategy" / "other.yaml").symlink_to(tmp_path / "nowhere")
    assert compose(["strategy=mine"], tmp_path)["strategy"]["strength"] == 0.5


def test_a_configuration_that_was_changed_by_hand_is_not_what_the_next_one_gets():
    first = compose(["strategy=replay"])
    first["strategy"]["budget"] = 7
    first["data"].clear()
    assert compose(["strategy=replay"])["strategy"]["budget"] != 7
    assert compose(["strategy=replay"])["data"]
