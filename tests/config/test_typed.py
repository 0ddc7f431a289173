"""Overrides that Hydra would take and gnnrec would ignore are refused, or mean what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnnrec.config import options
from gnnrec.config.compose import compose, expand
from gnnrec.core.errors import GnnrecError
from gnnrec.runs.ready import ready


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hydra.run.dir=/tmp", "set output=FOLDER"),
        ("hydra.sweep.dir=/tmp", "set output=FOLDER"),
        ("hydra/launcher=joblib", "gnnrec run --help"),
        ("hydra.searchpath=[x]", "--config-dir"),
        ("data@x=file", "write data=file"),
        ("~trainer", "choose another: trainer=default, dimension_parallel, gpu"),
        ("~fit.base", "set it: fit.base=VALUE"),
        ("~experiment", "experiment=null leaves it out"),
        ("+state={kep: 1}", "state.kep"),
        ("sweep.usual.fit.lr.hihg=1", "did you mean 'sweep.usual.fit.lr.high'"),
        ("~fit.lr=0.01", "set it: fit.lr=VALUE"),
        ("logger=null", "there is no logger=null"),
        ("strategy=[frozen,stale]", "must name one of"),
        ("fit={base: null}", "fit.base=null is no mapping"),
        ("+state.kep=3", "did you mean 'keep'"),
        ("+sweep.trails=3", "did you mean 'trials'"),
        ("+plugins.deny=[x]", "allowed: allow"),
        ("threads=100000", "threads=100000 must be at most"),
        ("seed=99999999999999999999", "seed=99999999999999999999 must be at most"),
        ("seeds=[0,99999999999999999999]", "seeds=99999999999999999999 must be at most"),
        ("+encoder.seed=-1", "encoder.seed=-1 must be 0 or more"),
        ("seeds=range(0,100000000)", "more than 10,000 values"),
        ("seeds=interval(0,1)", "not understood"),
        ("seed=0,1", "a grid needs `gnnrec run -m`"),
        ("name=${name}", "name"),
        ("", "KEY=VALUE"),
    ],
)
def test_what_would_be_ignored_is_refused_with_what_helps(typed, said):
    with pytest.raises(GnnrecError) as caught:
        compose([typed])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plus_before_a_group_or_a_key_that_is_there_does_no_harm():
    found = compose(["+experiment=quickstart", "+fit.lr=0.5", "++seed=3"])
    assert (found["name"], found["fit"]["lr"], found["seed"]) == ("quickstart", 0.5, 3)


@pytest.mark.parametrize(
    ("typed", "seeds"),
    [("seeds=range(3)", [0, 1, 2]), ("seeds=range(1,6,2)", [1, 3, 5]), ("seeds=4,5", [4, 5]), ("seeds=[7]", [7])],
)
def test_a_list_may_be_written_as_a_range(typed, seeds):
    assert compose([typed])["seeds"] == seeds


@pytest.mark.parametrize(
    "text",
    [
        "/daten/müller/log (1).csv",
        "a?b %20#c",
        "日本",
        "it's",
        "back\\",
        "C:\\dir\\'x'",
        "a  b",
        "-",
        "50 %",
        "a=b=c",
        "*.csv",
    ],
)
def test_a_text_needs_no_quotes_of_a_grammar(text):
    assert compose([f"output={text}"])["output"] == text
    assert compose(expand([f"output={text}", "seed=0,1"])[1])["output"] == text
    assert compose(options.overrides({"output": text}))["output"] == text


@pytest.mark.parametrize("text", ["true", "null", "nan", "1e3", "007", "ü", ""])
def test_a_text_that_looks_like_something_else_stays_text_as_a_parameter(text):
    assert compose(options.overrides({"data": {"name": text}, "name": "x", "output": "x"}))["data"]["name"] == text


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(GnnrecError, match="no UTF-8"):
        compose(["output=\udcff"])


def test_a_grid_has_a_bound():
    with pytest.raises(GnnrecError, match="names no value"):
        expand(["experiment=range(0)"])
    assert len(expand(["seed=range(0,100)", "fit.lr=1,2"])) == 200
    with pytest.raises(GnnrecError, match="more than 10,000"):
        expand(["seed=range(0,200)", "fit.lr=range(1,200)"])
    with pytest.raises(GnnrecError, match="more than 10,000"):
        expand(["seed=range(0,1000000000)"])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("trainer.precision=bf16-true", "trainer.precision=bf16-true is not known"),
        ("+trainer.callbacks=[]", "trainer.callbacks is not for a run to set"),
        ("+trainer.max_epochs=1", "fit.max_epochs does it"),
        ("+trainer.logger=true", "choose logger=csv"),
        ("+trainer.enable_checkpointing=true", "state.keep"),
        ("+trainer.precison=1", "did you mean 'precision'"),
        ("+logger.projct=x", "did you mean 'project'"),
        ("+logger.save_dir=x", "takes no 'save_dir'"),
        ("logger.tags=abc", "logger.tags=abc is not a list of texts"),
        ("logger.offline=perhaps", "logger.offline=perhaps is not true or false"),
    ],
)
def test_what_a_run_could_not_use_is_refused_before_data_are_read(typed, said, monkeypatch):
    monkeypatch.setattr("gnnrec.data.simulate.world.SimulatedWorld.load", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(GnnrecError) as caught:
        ready(compose([typed]))
    assert said in str(caught.value)


def test_a_logger_whose_package_is_missing_is_refused(monkeypatch):
    monkeypatch.setattr("gnnrec.training.loggers.find_spec", lambda _: None)
    with pytest.raises(GnnrecError, match="pip install tensorboard"):
        ready(compose(["logger=tensorboard"]))


@pytest.mark.parametrize("more", [[], ["+trainer.deterministic=true"], ["+trainer.gradient_clip_val=1.0"]])
def test_what_a_trainer_may_be_given_is_taken(more):
    ready(compose(more))


def test_options_of_a_convolution_need_no_plus():
    assert compose(["encoder=pyg", "encoder.options={heads: 2}"])["encoder"]["options"] == {"heads": 2}


def test_paths_of_data_are_kept_where_they_were(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "titles.csv").write_text("id,title\n")
    found = compose(["data=file", "data.path=log.csv", "data.items=titles.csv"])["data"]
    assert found["path"] == str(tmp_path / "log.csv")
    assert found["items"] == str(tmp_path / "titles.csv")
    found = compose(["data=file", "data.path=[a.csv,/b.csv]", "data.items=elsewhere.csv"])["data"]
    assert found["path"] == [str(tmp_path / "a.csv"), "/b.csv"]
    assert found["items"] == "elsewhere.csv"
    assert compose(["data=store", "data.path='s3://bucket/store'"])["data"]["path"] == "s3://bucket/store"
