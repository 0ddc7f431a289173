"""Hydra's compose, and its complaints in one line each. The only place that imports Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from gnnrec.config import options as conf
from gnnrec.core.errors import GnnrecError

Config = dict[str, Any]


def compose(overrides: Sequence[str], extra: Path | None = None) -> Config:
    """Return the resolved configuration that `overrides` make, a plain dictionary.

    Raises:
        GnnrecError: a key, group or value is not known; the nearest one is named.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = [f"hydra.searchpath=[file://{extra.resolve()}]"] if extra else []
    with initialize_config_dir(config_dir=str(conf.folder()), version_base="1.3"):
        try:
            found = hydra_compose("config", overrides=[*path, *overrides])
            plain: Config = dict(OmegaConf.to_container(found, resolve=True))  # type: ignore[arg-type]
            return conf.checked(plain, conf.groups(extra))
        except GnnrecError:
            raise
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            groups = [o for o in overrides if o.partition("=")[0] in conf.groups(extra)]
            known = conf.keys(_plain(hydra_compose, [*path, *groups]))
            raise conf.explain(list(overrides), known, extra, str(error)) from error


def chosen(group: str, overrides: Sequence[str], extra: Path | None = None) -> str:
    """Return the option of `group` that `overrides` make, whether typed or set by the experiment."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    path = [f"hydra.searchpath=[file://{extra.resolve()}]"] if extra else []
    with initialize_config_dir(config_dir=str(conf.folder()), version_base="1.3"):
        found = hydra_compose("config", overrides=[*path, *overrides], return_hydra_config=True)
    return str(found.hydra.runtime.choices[group])


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


def expand(overrides: list[str]) -> list[list[str]]:
    """Return the grid of overrides in Hydra's sweep syntax: a,b  range(…)  choice(…)."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise conf.explain(
            overrides, [o.partition("=")[0].lstrip("+~") for o in overrides], None, str(error)
        ) from error
    choices = [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()] if o.is_sweep_override() else [text]
        for o, text in zip(parsed, overrides, strict=True)
    ]
    return [list(job) for job in product(*choices)]
