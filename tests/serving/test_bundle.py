"""A bundle answers what `gnnrec recommend` says, whatever made the run; what is damaged is said."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.served_runs import finished, model_of

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import SUMS, read_folder
from gnnrec.live.publish import publish
from gnnrec.serving import bundle
from gnnrec.serving.answers import Answers, NotThereError
from gnnrec.serving.holder import Holder, loaded
from gnnrec.serving.make import made_of
from gnnrec.serving.recommend import lists

FORMS = {
    "blend": ([], "products"),
    "model": (["scorer.rows=[model]"], "products"),
    "angle": (["objective=softmax", "scorer.rows=[model]"], "products"),
    "rating": (["objective=rating"], "products"),
    "filter": (["strategy=filter"], "lists"),
    "levels": (["encoder=gcmc", "objective=gcmc", "graph.values=true"], "lists"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a run of each kind, made when it is first asked for."""
    made = {}

    def run(kind):
        if kind not in made:
            made[kind] = finished(tmp_path_factory.mktemp(kind), *FORMS[kind][0])
        return made[kind]

    return run


@pytest.mark.parametrize(
    ("kind", "mask"), [*((kind, "absorbed") for kind in FORMS), ("blend", "none"), ("filter", "none")]
)
def test_a_bundle_answers_what_recommend_says(runs, kind, mask, tmp_path):
    served = model_of(runs(kind))
    served.learner.measure = replace(served.learner.measure, mask=mask)
    bundle.write(tmp_path, made_of(served))
    bundle.point(tmp_path, 0)
    answers = loaded(tmp_path)
    assert answers.bundle.manifest.form == FORMS[kind][1]
    assert bool(answers.bundle.manifest.why) == (FORMS[kind][1] == "lists")
    users = [*served.users[: served.learner.seen.num_users], "nobody"]
    said = lists(served.learner, served, users, 30, served.scorer).rows
    for (user,), rows in said.group_by(["user"], maintain_order=True):
        found, known = answers.recommend(user, 30)
        assert [r.item for r in found] == rows["item"].to_list(), user
        assert [r.score for r in found] == pytest.approx(rows[f"{served.scorer}_score"].to_list(), rel=1e-4, abs=1e-4)
        assert known == (user != "nobody")


def test_the_command_says_the_same(runs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs("blend"), run)
    assert main(["export", str(run)]) == 0
    capsys.readouterr()
    assert main(["recommend", str(run), "--user", "u7", "--user", "nobody", "-k", "5"]) == 0
    said = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    answers = loaded(run / "bundles")
    found = [(u, r.item, f"{r.score:.4f}") for u in ("u7", "nobody") for r in answers.recommend(u, 5)[0]]
    assert [(u, item) for u, _, item, _, _ in said] == [(u, item) for u, item, _ in found]
    assert [float(r[-1]) for r in said] == pytest.approx([float(s) for *_, s in found], abs=1.01e-4)


def test_nobody_is_offered_what_they_took(runs):
    served = model_of(runs("blend"))
    answers, seen = Answers(made_of(served)), served.learner.seen
    for number in range(seen.num_users):
        user, k = served.users[number], 10
        taken = {served.items[i] for i in seen.neighbours(np.array([number]), of_users=True)[1]}
        found = [r.item for r in answers.recommend(user, k)[0]]
        assert len(set(found)) == len(found) == min(k, seen.num_items - len(taken))
        assert not taken & set(found)


def test_the_tables_hold_what_they_are_said_to(runs, tmp_path):
    served = model_of(runs("rating"))
    made = bundle.write(tmp_path, made_of(served))
    users, items = made.vectors()
    learner = served.learner
    assert users.columns == ["user", "row", "vector", "bias", "taken"]
    assert items.columns == ["item", "row", "vector", "bias", "popularity", "title"]
    assert items["popularity"].sum() == sum(len(part) for part in learner.counters.log)
    assert users["taken"].sum() == learner.seen.num_edges
    vector, bias = users["vector"].to_numpy() @ items["vector"].to_numpy().T, items["bias"].to_numpy()
    real = learner.scorer().scores(np.arange(users.height), items.height).numpy()
    assert vector + bias + users["bias"].to_numpy()[:, None] == pytest.approx(real, abs=1e-4)
    assert made.manifest.files.keys() == read_folder(tmp_path / "bundle-000000").keys() - {"manifest.json"}
    again = bundle.read(tmp_path / "bundle-000000")
    assert again.manifest == made.manifest
    assert again.tensors.keys() == made.tensors.keys()
    assert all(torch.equal(x, again.tensors[name]) for name, x in made.tensors.items())


def test_folding_in_is_the_closed_form(runs):
    for kind in ("model", "angle"):
        served = model_of(runs(kind))
        made = made_of(served)
        answers, f, said = Answers(made), made.factors, made.manifest
        chosen = [3, 8, 11]
        near = f.item[chosen].double().numpy()
        row = np.linalg.inv(near.T @ near + said.ridge * np.eye(near.shape[1])) @ near.sum(0) * said.scale
        if said.length is not None:
            row *= said.length / np.linalg.norm(row)
        score = f.item.double().numpy() @ row + f.item_bias.double().numpy()
        score[chosen] = -np.inf
        found, strange = answers.fold_in([served.items[i] for i in chosen] + ["never"], 10)
        assert strange == ["never"]
        assert [r.item for r in found] == [served.items[i] for i in np.argsort(-score)[:10]]
        assert [r.score for r in found] == pytest.approx(np.sort(score)[::-1][:10].tolist(), abs=1e-5)


def test_who_is_folded_in_by_their_own_items_gets_much_the_same_list(runs):
    served = model_of(runs("blend"))
    answers, same = Answers(made_of(served)), []
    for number in range(20):
        own = served.learner.seen.neighbours(np.array([number]), of_users=True)[1]
        folded = {r.item for r in answers.fold_in([served.items[i] for i in own], 10)[0]}
        same.append(len(folded & {r.item for r in answers.recommend(served.users[number], 10)[0]}) / 10)
    assert np.mean(same) > 0.6


def test_similar_is_by_angle(runs):
    served = model_of(runs("blend"))
    made = made_of(served)
    z = torch.nn.functional.normalize(made.factors.item, dim=1)
    found = Answers(made).similar(served.items[4], 5)
    near = z @ z[4]
    near[4] = -2
    assert [r.item for r in found] == [served.items[i] for i in near.topk(5).indices]
    with pytest.raises(NotThereError, match="does not know"):
        Answers(made).similar("never", 5)


def test_lists_made_beforehand_fold_nobody_in(runs):
    answers = Answers(made_of(model_of(runs("filter"))))
    assert len(answers.similar(answers.bundle.items[0], 5)) == 5
    with pytest.raises(GnnrecError, match="folds nobody in: its scores are no product of vectors"):
        answers.fold_in([answers.bundle.items[0]], 5)


FILES = ("users.parquet", "items.parquet", "tables.safetensors", "seen.safetensors", "manifest.json", SUMS)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["truncated", "flipped", "gone"])
def test_what_is_damaged_leaves_the_old_one_serving(runs, tmp_path, name, how):
    served = model_of(runs("blend"))
    for number in (0, 1):
        bundle.write(tmp_path, made_of(replace(served, origin=replace(served.origin, number=number))))
    bundle.point(tmp_path, 0)
    holder = Holder(tmp_path)
    before = holder.answers.recommend("u7", 5)
    path = tmp_path / "bundle-000001" / name
    whole = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        middle = len(whole) // 2
        path.write_bytes(
            whole[:middle] if how == "truncated" else whole[:middle] + bytes([whole[middle] ^ 8]) + whole[middle + 1 :]
        )
    bundle.point(tmp_path, 1)
    assert holder.look() is False
    assert "is damaged" in holder.problem
    assert holder.answers.bundle.number == 0
    assert holder.answers.recommend("u7", 5) == before
    path.write_bytes(whole)
    bundle.point(tmp_path, 1)
    assert holder.look() is True
    assert (holder.answers.bundle.number, holder.problem, holder.swaps) == (1, "", 1)


def test_a_bundle_that_gives_no_lists_does_not_serve(runs, tmp_path):
    made = made_of(model_of(runs("model")))
    bundle.write(tmp_path, made)
    bundle.point(tmp_path, 0)
    holder = Holder(tmp_path)
    broken = {**made.tensors, "item": torch.full_like(made.tensors["item"], torch.nan)}
    origin = replace(made.manifest.origin, number=1)
    bundle.write(tmp_path, replace(made, tensors=broken, manifest=replace(made.manifest, origin=origin)))
    bundle.point(tmp_path, 1)
    assert not holder.look()
    assert "NaN" in holder.problem
    assert holder.answers.bundle.number == 0


@pytest.mark.parametrize(
    "text", ["", "{}", '{"bundle": "../../etc"}', '{"bundle": 3}', '{"bundle": "bundle-000001/.."}']
)
def test_a_pointer_elsewhere_is_refused(tmp_path, text):
    (tmp_path / "current").write_text(text)
    with pytest.raises(GnnrecError, match=r"current (is damaged|names no bundle)"):
        bundle.pointed(tmp_path)


def test_the_newest_bundles_stay_and_so_does_what_serves(runs, tmp_path):
    served = model_of(runs("model"))
    for number in range(5):
        publish(tmp_path, replace(served, origin=replace(served.origin, number=number)), {"bundles": 2})
    folder = tmp_path / "bundles"
    assert [p.name for p in bundle.bundles(folder)] == ["bundle-000003", "bundle-000004"]
    bundle.point(folder, 3)
    publish(tmp_path, replace(served, origin=replace(served.origin, number=4)), {"bundles": 1})
    assert [p.name for p in bundle.bundles(folder)] == ["bundle-000004-1"]
    publish(tmp_path, replace(served, origin=replace(served.origin, number=3)))
    (folder / "delta-000003-000004").mkdir()
    assert bundle.remove_all_but_current(folder) == ["bundle-000004-1", "delta-000003-000004"]
    assert bundle.pointed(folder) == folder / "bundle-000003"
    with pytest.raises(GnnrecError, match=r"live\.bundles=0"):
        publish(tmp_path, served, {"bundles": 0})
