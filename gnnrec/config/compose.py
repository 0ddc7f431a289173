"""Hydra's compose, and its complaints in one line each. The only place that imports Hydra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

from gnnrec.config import listed, whole
from gnnrec.config import options as conf
from gnnrec.config.explain import explain, unreadable
from gnnrec.config.typed import key_of, put_right
from gnnrec.core.errors import GnnrecError, one_line

Config = dict[str, Any]
Stamp = tuple[tuple[str, int, int], ...]
LISTS = ("seeds", "strategies", "policies", "references")
"""Keys that hold a list and nothing else: what is elsewhere a grid, range(3) or a,b, is a list there."""
MOST = 10_000
"""Runs of a grid, and elements of a list written as a range."""
_LANGUAGE = re.compile(r"[\[{'\"]|.*\$\{|\w+\(")
"""How a value begins that is no plain text: a list, a mapping, quotes, a function; or it holds an interpolation."""


def compose(overrides: Sequence[str], extra: Path | None = None) -> Config:
    """Return the resolved configuration that `overrides` make, a plain dictionary; relative paths of data are made absolute.

    Raises:
        GnnrecError: a key, group or value is not known; the nearest one is named.
    """
    from omegaconf import OmegaConf

    with _composing(overrides, extra) as (hydra_compose, path, right):
        found, _ = _composed(hydra_compose, (*path, *right), _stamp(extra))
        plain: Config = dict(OmegaConf.to_container(found, resolve=True))  # type: ignore[arg-type]
        checked = whole.checked(plain, conf.groups(extra))
        # Described, not named: whoever reads a configuration again has no need of the folder that its rows were named in.
        scorer = {**checked["scorer"], "companion": listed.companion(checked["scorer"]["companion"], extra)}
        rows = listed.references(checked["references"], extra)
        return whole.located({**checked, "scorer": scorer, "references": rows})


def chosen(group: str, overrides: Sequence[str], extra: Path | None = None) -> str:
    """Return the option of `group` that `overrides` make, whether typed or set by the experiment."""
    with _composing(overrides, extra) as (hydra_compose, path, right):
        return str(_composed(hydra_compose, (*path, *right), _stamp(extra))[1][group])


@lru_cache(maxsize=16)
def _composed(hydra_compose: Any, overrides: tuple[str, ...], stamp: Stamp) -> tuple[Any, dict[str, Any]]:
    """Return what Hydra makes of overrides, unresolved, and the options chosen: a command asks for the same several times."""
    from omegaconf import open_dict

    found = hydra_compose("config", overrides=list(overrides), return_hydra_config=True)
    choices = dict(found.hydra.runtime.choices)
    with open_dict(found):
        del found["hydra"]
    return found, choices


def _stamp(extra: Path | None) -> Stamp:
    """Return which YAML files there are, and when they were written: what was composed from others is no answer."""
    folders = [folder for folder in (conf.folder(), extra) if folder is not None]
    files = sorted(path for folder in folders for deep in range(3) for path in folder.glob("*/" * deep + "*.yaml"))
    return tuple((str(path), at.st_mtime_ns, at.st_size) for path in files if path.exists() for at in [path.stat()])


@contextmanager
def _composing(overrides: Sequence[str], extra: Path | None) -> Iterator[tuple[Any, list[str], list[str]]]:
    """Yield Hydra's compose, the override that leads it to the user's folder, and the overrides as it wants them."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    options = conf.groups(extra)
    right = [_as_list(_as_text(o)) for o in put_right(overrides, options)]
    path = [f"hydra.searchpath=[{conf.quoted(f'file://{extra.resolve()}')}]"] if extra else []
    with initialize_config_dir(config_dir=str(conf.folder()), version_base="1.3"):
        try:
            yield hydra_compose, path, right
        except GnnrecError:
            raise
        except UnicodeDecodeError as error:
            raise GnnrecError(
                f"a YAML file below {extra or conf.folder()} is not UTF-8 text: {_not_text(extra)}"
            ) from error
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError, TypeError, KeyError) as error:
            groups = [o for o in right if key_of(o) in options]
            known = [*conf.keys(_plain(hydra_compose, [*path, *groups])), *options]
            raise explain(overrides, known, _misread, str(error)) from error
        except RecursionError as error:
            raise GnnrecError(f"'{one_line(max(right, key=len))[:60]}…' is nested too deeply") from error


def _not_text(folder: Path | None) -> str:
    """Name the YAML files of a folder of configuration that are no UTF-8 text."""
    found = list[str]()
    for path in sorted((folder or conf.folder()).rglob("*.yaml")):
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            found.append(one_line(str(path)))
        except OSError:
            continue
    return f"{', '.join(found) or 'it cannot be told which'}; save it as UTF-8"


def _plain(hydra_compose: Any, groups: list[str]) -> Mapping[str, Any]:
    """Return the configuration of the chosen groups alone, or of none where they are what is wrong."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    for overrides in (groups, []):
        try:
            return dict(OmegaConf.to_container(hydra_compose("config", overrides=overrides)))  # type: ignore[arg-type]
        except (HydraException, ValueError):
            continue
    return {}


def _misread(override: str) -> str | None:
    """Return what Hydra's grammar cannot read in an override, None where it can."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except (HydraException, ValueError) as error:
        return str(error)
    return None


# Grids ----------------------------------------------------------------------------------------------------------------


def expand(overrides: Sequence[str], extra: Path | None = None) -> list[list[str]]:
    """Return the grid of overrides in Hydra's sweep syntax: a,b  range(…)  choice(…)."""
    right = [_as_text(o) for o in put_right(overrides, conf.groups(extra))]
    choices = [_values(o) if key_of(o) not in LISTS else [o] for o in right]
    if empty := [o for o, values in zip(overrides, choices, strict=True) if not values]:
        raise GnnrecError(f"'{one_line(empty[0])}' names no value: the grid is empty")
    if (count := prod(map(len, choices))) > MOST:
        raise GnnrecError(f"a grid of {count:,} runs is more than {MOST:,}; give fewer values")
    return [list(job) for job in product(*choices)]


def _as_text(override: str) -> str:
    """Return an override whose value the grammar can read, in quotes where it is a text that it cannot: a path, mostly."""
    key, sign, value = override.partition("=")
    if not sign or _LANGUAGE.match(value) or _misread(override) is None:
        return override
    return f"{key}={conf.quoted(value)}"


def _as_list(override: str) -> str:
    """Return seeds=range(3) and seeds=0,1,2 as the lists they mean, and any other override itself."""
    if key_of(override) not in LISTS or (values := _values(override)) == [override]:
        return override
    return f"{key_of(override)}=[{','.join(v.partition('=')[2] for v in values)}]"


def _values(override: str) -> list[str]:
    """Return an override for each value of one in sweep syntax; any other itself."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        if not parsed.is_sweep_override():
            return [override]
        found = list(islice(parsed.sweep_string_iterator(), MOST + 1))
    except (HydraException, ValueError, TypeError, RecursionError) as error:
        raise unreadable(override, str(error)) from error
    if len(found) > MOST:
        raise GnnrecError(f"'{one_line(override)}' has more than {MOST:,} values; give fewer")
    return [f"{parsed.get_key_element()}={value}" for value in found]
