"""The service as it is asked over HTTP: lists, bounds, the token, another bundle under load, and its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager

import pytest
from support.live_runs import LENIENT, grow, made, updated
from support.served_runs import model_of

from gnnrec.cli.main import main
from gnnrec.cli.serving import _holder
from gnnrec.core.errors import GnnrecError
from gnnrec.live import run as live
from gnnrec.live.publish import bundles_of, publish
from gnnrec.serving import bundle
from gnnrec.serving.door import LARGEST, check_host, token_of
from gnnrec.serving.holder import Holder

pytest.importorskip("fastapi", reason="the extra gnnrec[serve] is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of httpx, in the place of which starlette would have another one
    from fastapi.testclient import TestClient
from serve_load import Load, health, ids, waited

from gnnrec.serving.service import app_of, listening, server_of

TOKEN = "correct-horse-battery"
HERE = "http://127.0.0.1"


def published(folder):
    """Return a store and a run on it that has a bundle."""
    store, run = made(folder)
    publish(run, model_of(run))
    return store, run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a store and a run on it that has a bundle; whoever updates the run makes its own."""
    return published(tmp_path_factory.mktemp("served"))


def until(true, seconds=60.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def client(place):
    return TestClient(app_of(Holder(bundles_of(place[1]))), HERE)


def test_lists_are_those_of_the_bundle(client, place):
    answers = Holder(bundles_of(place[1])).answers
    found = client.get("/recommend", params={"user": "u3", "k": 7}).json()
    assert (found["user"], found["known"], found["bundle"]) == ("u3", True, 0)
    assert [r["item"] for r in found["items"]] == [r.item for r in answers.recommend("u3", 7)[0]]
    assert client.get("/recommend", params={"user": "nobody"}).json()["known"] is False
    found = client.post("/fold_in", json={"items": ["i1", "i5", "never"], "k": 4}).json()
    assert [r["item"] for r in found["items"]] == [r.item for r in answers.fold_in(["i1", "i5"], 4)[0]]
    assert found["unknown_items"] == ["never"]
    found = client.get("/similar", params={"item": "i1", "k": 4}).json()
    assert [r["item"] for r in found["items"]] == [r.item for r in answers.similar("i1", 4)]


def test_what_is_not_there_is_said(client):
    for answer in (client.get("/similar", params={"item": "x\n<b>"}), client.post("/fold_in", json={"items": ["x"]})):
        assert answer.status_code == 404
        assert "does not know" in answer.json()["detail"] or "knows none" in answer.json()["detail"]
    assert client.get("/nothing").status_code == 404
    assert client.get("/docs").status_code == 404


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        ("/recommend", {"user": "u1", "k": 201}, "k: "),
        ("/recommend", {"user": "u1", "k": 0}, "k: "),
        ("/recommend", {"user": "u1", "k": "many"}, "k: "),
        ("/recommend", {"user": ""}, "user: "),
        ("/recommend", {"user": "u" * 257}, "user: "),
        ("/recommend", {}, "user: Field required"),
        ("/similar", {"item": "i" * 257}, "item: "),
        ("/fold_in", {"items": []}, "items: "),
        ("/fold_in", {"items": ["i1"] * 1001}, "items: "),
        ("/fold_in", {"items": ["i" * 257]}, "items.0: "),
        ("/fold_in", {"items": [3]}, "items.0: "),
        ("/fold_in", {"items": ["i1"], "k": 1000}, "k: "),
    ],
)
def test_what_is_asked_is_bounded(client, path, given, said):
    answer = client.post(path, json=given) if path == "/fold_in" else client.get(path, params=given)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)
    assert len(answer.text) < 400, "what was sent does not come back"


def test_a_body_is_bounded_whether_it_says_its_length_or_not(client):
    headers = {"content-type": "application/json"}
    assert client.post("/fold_in", content=b" " * (LARGEST + 1), headers=headers).status_code == 413
    parts = (b" " * 65536 for _ in range(LARGEST // 65536 + 1))
    assert client.post("/fold_in", content=parts, headers=headers).status_code == 413
    assert client.post("/fold_in", content=b"{", headers=headers).status_code == 422
    assert client.post("/fold_in", json={"items": ["i1"] * 1000}).status_code == 200


def test_a_token_is_asked_for_by_all_but_health(place):
    client = TestClient(app_of(Holder(bundles_of(place[1])), TOKEN))
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/health").status_code == 200
    for path in ("/recommend?user=u1", "/metrics", "/openapi.json", "/nothing", "/fold_in"):
        for wrong in (
            {},
            {"Authorization": TOKEN},
            {"Authorization": "Bearer no"},
            {"Authorization": f"Bearer {TOKEN}x"},
        ):
            assert client.get(path, headers=wrong).status_code == 401
    assert client.get("/recommend?user=u1", headers=right).status_code == 200
    assert client.get("/nothing", headers=right).status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.3", "example.org", ""])
def test_others_may_ask_only_with_a_token(host):
    with pytest.raises(GnnrecError, match="--token-file FILE or GNNREC_TOKEN"):
        check_host(host, None)
    check_host(host, TOKEN)
    for here in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        check_host(here, None)


@pytest.mark.parametrize("name", ["example.org", "127.0.0.1.example.org", "10.0.0.3:8000", "[::2]", "", "[", "é"])
def test_without_a_token_only_this_machines_own_names_are_answered(client, place, name):
    """A page of somebody else could make a browser ask by a name of its own that leads here."""
    for path in ("/health", "/recommend?user=u1"):
        answer = client.get(path, headers={"Host": name.encode()})
        assert answer.status_code == 421
        assert "localhost" in answer.json()["detail"]
    named = TestClient(app_of(Holder(bundles_of(place[1])), TOKEN))
    assert named.get("/health", headers={"Host": "example.org"}).status_code == 200


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]", "127.9.9.9"])
def test_this_machines_own_names_are_answered(client, name):
    assert client.get("/health", headers={"Host": name}).status_code == 200


def test_a_token_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o640)
    with pytest.raises(GnnrecError, match="can be read by others; chmod 600"):
        token_of(file, None)


def test_a_token_is_read_or_refused(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert token_of(file, "other") == TOKEN
    assert token_of(None, TOKEN) == TOKEN
    assert token_of(None, None) is None
    for wrong in ("", "short", "two words are no token", "two\nlines-are-no-token", "é" * 20):
        file.write_text(wrong)
        with pytest.raises(GnnrecError, match="--token-file"):
            token_of(file, None)


def test_health_and_metrics_tell_how_it_stands(client, place):
    store, _ = place
    client.get("/recommend", params={"user": "u1"})
    client.get("/recommend", params={"user": "u1", "k": 0})
    client.get("/a/path/of/ones/own")
    found = client.get("/health").json()
    versions = [v.number for v in store.versions]
    assert (found["status"], found["bundle"], found["versions"], found["form"]) == ("ok", 0, versions, "products")
    assert found["age"] >= 0
    text = client.get("/metrics").text
    assert 'gnnrec_requests_total{endpoint="/recommend",status="200"} 1' in text
    assert 'gnnrec_requests_total{endpoint="/recommend",status="422"} 1' in text
    assert 'gnnrec_requests_total{endpoint="other",status="404"} 1' in text
    assert re.search(r'_bucket\{endpoint="/recommend",le="\+Inf"\} 2\n', text)
    assert "\ngnnrec_bundle 0\n" in text
    assert "ones/own" not in text


def test_the_schema_has_every_endpoint_with_examples(client):
    found = client.get("/openapi.json").json()
    assert set(found["paths"]) == {"/recommend", "/similar", "/fold_in", "/health", "/metrics"}
    assert found["paths"]["/recommend"]["get"]["parameters"][0]["schema"]["examples"]
    assert "examples" in str(found["components"]["schemas"]["Body_fold_in_fold_in_post"])


def test_damage_is_said_by_health_and_the_old_one_answers(place, tmp_path):
    folder = tmp_path / "bundles"
    bundle.write(folder, Holder(bundles_of(place[1])).answers.bundle)
    bundle.point(folder, 0)
    holder = Holder(folder)
    client = TestClient(app_of(holder), HERE)
    bundle.point(folder, 7)
    holder.look()
    found = client.get("/health").json()
    assert found["status"] == "behind"
    assert "bundles/bundle-000007 is damaged" in found["problem"]
    assert str(tmp_path) not in found["problem"]
    assert client.get("/recommend", params={"user": "u3"}).status_code == 200
    assert "gnnrec_behind 1" in client.get("/metrics").text


@contextmanager
def answering(folder):
    """Yield the address of a service that runs beside the test."""
    holder = Holder(folder)
    server, at = server_of(app_of(holder)), listening("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    watching = holder.watch(0.02)
    thread.start()
    try:
        yield f"http://127.0.0.1:{at.getsockname()[1]}"
    finally:
        server.should_exit = True
        holder.close()
        thread.join(20)
        watching.join(20)


def test_no_request_fails_while_two_updates_take_over(tmp_path, capsys):
    """Also: an update, and going back, keep the bundle in step with the champion."""
    store, run = published(tmp_path)
    capsys.readouterr()
    with (
        answering(bundles_of(run)) as url,
        Load(url, ids(run, "user"), ids(run, "item"), clients=3, pause=0.005) as load,
    ):
        for number in (3, 4):
            grow(store, number, 700)
            before = health(url)["bundle"]
            assert main(["update", str(store.path), str(run), *LENIENT]) == 0
            said = capsys.readouterr().out
            assert said.startswith("accepted"), said
            assert f"bundle {before + 1} serves" in said
            waited(url, before + 1)
        assert health(url)["swaps"] == 2
        time.sleep(0.2)
        assert main(["rollback", str(run), "--to", "1"]) == 0
        assert "bundle 1 serves" in capsys.readouterr().out
        waited(url, 1)
        time.sleep(0.2)
    assert load.heard.failures == []
    assert {0, 1, 2} <= load.heard.bundles.keys()
    assert re.search(r"0 failed; p50 [\d.]+ ms, p99 [\d.]+ ms", load.heard.line())
    # A bundle that has gone is made again from the champion's state, and gives what the champion gives.
    champion = updated(store, run)[1]
    assert champion.number == 1
    assert bundle.remove_all_but_current(bundles_of(run)) == ["bundle-000000", "bundle-000002"]
    assert main(["rollback", str(run), "--to", "2"]) == 0
    answers = Holder(bundles_of(run)).answers
    assert answers.bundle.number == 2
    capsys.readouterr()
    assert main(["recommend", str(run), "--user", "u3", "-k", "8"]) == 0
    said = [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert said == [r.item for r in answers.recommend("u3", 8)[0]], "recommend gives the champion's lists too"
    assert answers.bundle.manifest.origin.versions == {str(k): v for k, v in store.contents.items()}
    assert live.one_run(run).folder == run


def test_a_service_ends_well(place):
    _, run = place
    command = [sys.executable, "-m", "gnnrec.cli.main", "serve", str(run), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    said = server.stdout.readline()
    assert health(said.rsplit(" ", 1)[-1].strip())["status"] == "ok"
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert server.stdout.read() == "stopped\n"


def test_without_fastapi_that_is_said(place, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "gnnrec.serving.service")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delattr("gnnrec.serving.service")
    assert main(["serve", str(place[1])]) == 2
    assert "pip install 'gnnrec[serve]'" in capsys.readouterr().err


def test_a_bundle_needs_no_run_beside_it(place, tmp_path):
    shutil.copytree(bundles_of(place[1]), tmp_path / "bundles")
    answers, alone = Holder(bundles_of(place[1])).answers, _holder(tmp_path, (), ()).answers
    assert alone.recommend("u3", 3) == answers.recommend("u3", 3)


def test_the_watch_goes_on_whatever_a_bundle_does(place, tmp_path, monkeypatch):
    shutil.copytree(bundles_of(place[1]), tmp_path / "bundles")
    holder = Holder(tmp_path / "bundles")
    with monkeypatch.context() as broken:
        broken.setattr("gnnrec.serving.holder.loaded", lambda _: {}["odd"])
        bundle.point(tmp_path / "bundles", 0)
        thread = holder.watch(0.01)
        until(lambda: holder.problem)
    assert thread.is_alive()
    assert "KeyError" in holder.problem
    bundle.point(tmp_path / "bundles", 0)
    until(lambda: not holder.problem)
    holder.close()


def test_what_cannot_be_served_is_one_line(place, tmp_path, capsys):
    run = str(place[1])

    def failed(*arguments):
        assert main(["serve", *arguments]) == 2
        return capsys.readouterr().err

    assert "lets other machines ask" in failed(run, "--host", "0.0.0.0")
    assert "holds no run" in failed(str(tmp_path))
    with listening("127.0.0.1", 0) as taken:
        assert "choose another, or 0" in failed(run, "--port", str(taken.getsockname()[1]))
    assert "choose another, or 0" in failed(run, "--port", "70000")
