"""Whatever is typed after a command makes a run that can be built, or one line that says why not."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

import pytest

from gnnrec.cli.jobs import of_comparison
from gnnrec.config import options
from gnnrec.config.compose import chosen, compose, expand
from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.runs.ready import ready
from gnnrec.sweeping.plan import plan_of

GROUPS = options.groups()
VALUES = (
    *(
        "0",
        "1",
        "2",
        "-1",
        "1.5",
        "-0.0",
        "1e-9",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "1000000000000",
        "99999999999999999999",
    ),
    *(
        "true",
        "false",
        "null",
        "abc",
        "''",
        "'a b'",
        '"x"',
        "ü",
        "日本",
        "a'b",
        "a\\,b",
        "a=b",
        "a:b",
        "???",
        "%20",
        "?",
    ),
    *("[]", "[1]", "[1,2,3]", "[a,b]", "[null]", "[[1]]", "[1", "1]", "{}", "{a: 1}", "{1: 2}", "{a: {b: [c]}}", "{a"),
    *("${seed}", "${name}", "${nowhere}", "${oc.env:HOME}", "${oc.env:NO_SUCH_VARIABLE}", "${", "$", "{:}", "\x00"),
    *("1,2", "a,b", "range(3)", "range(0)", "range(1,2,0)", "choice(1,2)", "interval(0,1)", "glob(*)", "shuffle(1,2)"),
    *(
        "20",
        "[20]",
        "[20,5]",
        "model",
        "[model]",
        "converge",
        "equal",
        "touched",
        "carry",
        "bf16-true",
        "64-true",
        "gpu",
    ),
    *(
        "os.system",
        "gnnrec.core.errors.GnnrecError",
        "gnnrec.cli",
        "gnnrec.",
        "",
        " ",
        "#",
        "@",
        "*",
        "-",
        "--",
        "~",
        "/",
    ),
)
KEYS = (
    *("fit.momentum", "sede", "fit", "fit.base.lrr", "x.y.z", "init.passes", "strategy._target_", "encoder._target_"),
    *(
        "hydra.run.dir",
        "hydra/launcher",
        "hydra.verbose",
        "data@x",
        "data@",
        "/data",
        "experiment@_global_",
        "a b",
        "==",
    ),
    *(
        "trainer.max_epochs",
        "trainer.callbacks",
        "trainer.logger",
        "trainer.strategy",
        "trainer.deterministic",
        "",
        ".",
    ),
    *("logger.projct", "logger.notes", "sweep.trails", "state.kep", "plugins.deny", "scorer.grid.gamma", "trainer.x"),
)
SPACES = (
    *(
        "fit.lr",
        "fit.max_epochs",
        "fit.base.lr",
        "strategy.budget",
        "strategy",
        "init",
        "objective",
        "encoder",
        "graph",
    ),
    *("strategy.seed", "data.users", "stream.base", "evaluation.topk", "threads", "output", "fit", "", "a.b", "seed"),
)
LIMITS = (
    *("{choices: [1, 2]}", "{choices: 5}", "{choices: []}", "{choices: [random, zero]}", "{choices: [mf, lightgcn]}"),
    *("{low: 1, high: 2}", "{low: 0, high: 1, log: true}", "{low: 2, high: 1}", "{low: 1, high: 9, type: integer}"),
    *(
        "{low: 0.001, high: 0.1, log: true}",
        "{low: 1, high: 60, type: int}",
        "{low: 1}",
        "3",
        "null",
        "{}",
        "[0.01, 0.1]",
    ),
    *(
        "{low: 1, high: 2, step: 1}",
        "{low: 1.5, high: 2, type: int}",
        "{choices: [null, true]}",
        "{low: -inf, high: nan}",
    ),
    *("{low: a, high: b}", "{choices: [[1]]}", "[]"),
)
Rng = random.Random


def known_keys() -> dict[str, list[str]]:
    """Return every option and the keys that a configuration with it has, the odd ones among them."""
    options_ = [f"{group}={name}" for group, names in GROUPS.items() for name in names]
    return {option: sorted({*options.keys(compose([option])), *KEYS}) for option in options_}


def overrides(rng: Rng, known: Mapping[str, Sequence[str]]) -> list[str]:
    """Return overrides: mostly an option and a key that it has, with a value that may be odd."""
    option = rng.choice(sorted(known))
    kind, value, group = rng.random(), rng.choice(VALUES), option.partition("=")[0]
    keys = [k for k in known[option] if k.startswith(f"{group}.")] if rng.random() < 0.7 else known[option]
    key, mark = rng.choice(keys or known[option]), rng.choice(("", "", "", "", "+", "++"))
    if kind < 0.1:
        return [f"{rng.choice(('', '+', '++', '~'))}{option if rng.random() < 0.5 else f'{group}={value}'}"]
    if kind < 0.25:
        parts = [f"{rng.choice(SPACES)}: {rng.choice(LIMITS)}" for _ in range(rng.randint(0, 2))]
        return [f"{rng.choice(('', '+'))}sweep.space={{{', '.join(parts)}}}"]
    if kind < 0.3:
        return [rng.choice((f"~{key}", key, value, f"~{group}"))]
    return [option, f"{mark}{key}={value}"]


def build(typed: list[str], command: str) -> None:
    """Do what a command does with overrides before it reads data."""
    if command == "run":
        for one in expand(typed)[:2]:
            ready(compose(one))
        return
    config = compose(typed)
    if command == "compare":
        of_comparison(
            {**config, "seeds": config["seeds"][:2], "strategies": config["strategies"][:1]}, typed, None, str
        )
        return

    def composed(more: list[str]) -> dict[str, object]:
        return compose([*(o for o in typed if key_of(o) not in {key_of(m) for m in more}), *more])

    plan_of(chosen("strategy", typed), config, composed, lambda group: chosen(group, typed))


def complaint(typed: list[str], command: str) -> str | None:
    """Return what is wrong with how overrides are answered, None where nothing is."""
    try:
        build(typed, command)
    except GnnrecError as error:
        said = str(error)
        return None if re.fullmatch(r"\S.*", said) else f"not one line: {said!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def fuzz(number: int, seed: int) -> list[str]:
    """Return the complaints about as many seeded inputs."""
    known, found = known_keys(), []
    for at in range(number):
        rng = Rng(derive(seed, "overrides", at))
        typed = [o for _ in range(rng.choice((1, 1, 1, 2))) for o in overrides(rng, known)]
        searches = any("sweep" in o for o in typed)
        command = "sweep" if searches else rng.choice(("run", "run", "run", "compare"))
        if said := complaint(typed, command):
            found.append(f"{command} {typed}: {said[:300]}")
    return found


@pytest.mark.timeout(300)
def test_odd_overrides_make_a_run_or_one_line():
    assert fuzz(30, seed=0) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_odd_overrides_make_a_run_or_one_line(part):
    assert fuzz(2500, seed=1 + part) == []
