"""What a command was given: flags and KEY=VALUE, its help, and keys that it would ignore."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from gnnrec.config import options as conf
from gnnrec.config.compose import compose
from gnnrec.config.typed import key_of
from gnnrec.core.errors import GnnrecError


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what the command line prints."""
        raise GnnrecError(f"{self.prog.removeprefix('gnnrec ')}: {message}; see {self.prog} --help")


def parse(command: str, rest: Sequence[str], what: str) -> argparse.Namespace | None:
    """Return flags and overrides; None where help or the configuration was printed."""
    parser = Parser(prog=f"gnnrec {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-cd", "--config-dir", type=Path)
    parser.add_argument("--cfg", choices=("job",))
    given = parser.parse_intermixed_args(rest)
    if given.multirun and command != "run":
        raise GnnrecError(f"-m belongs to `gnnrec run`; `gnnrec {command}` has no grid")
    if given.config_dir and not given.config_dir.is_dir():
        raise GnnrecError(f"--config-dir {given.config_dir} is not a folder")
    if given.help:
        print(_help(command, what, given.config_dir))
        return None
    if given.cfg:
        import yaml

        print(yaml.safe_dump(compose(given.overrides, given.config_dir), sort_keys=False, allow_unicode=True))
        return None
    return given


def belongs_elsewhere(overrides: Sequence[str], instead: Mapping[str, str], command: str) -> None:
    """Refuse keys that this command would ignore."""
    for override in overrides:
        key = key_of(override)
        right = instead.get(key) or next((v for k, v in instead.items() if k.endswith(".") and key.startswith(k)), None)
        if right:
            raise GnnrecError(f"{key}= does nothing in `gnnrec {command}`; it takes {right}")


def _help(command: str, what: str, extra: Path | None) -> str:
    lines = [f"gnnrec {command} [KEY=VALUE ...]  {what}", "", "groups (GROUP=OPTION):"]
    lines += [f"  {group:<12} {', '.join(options)}" for group, options in conf.groups(extra).items()]
    lines += [
        "",
        "keys: name, seed, seeds, strategies, policies, references, output, figures, resume, threads, state.keep,",
        "      plugins.allow, and those of the groups",
        *([_GRID] if command == "run" else []),
        "  -cd, --config-dir  a folder of your own with the same groups",
        "  --cfg job          print the configuration and stop",
    ]
    return "\n".join(lines)


_GRID = "  -m, --multirun     a grid: strategy=fine_tune,replay seed=range(0,3); one table at the end"
