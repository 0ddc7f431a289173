"""`gnnrec new strategy|encoder NAME`: a plug-in to begin with, in three files: code, configuration, test."""

from __future__ import annotations

import argparse
import keyword
import re
from collections.abc import Sequence
from pathlib import Path

from gnnrec.config import options as conf
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.files import write_atomic

STRATEGY = '''"""{Name}: fine-tuning on the newest of each increment's events."""

from __future__ import annotations

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.strategies.base import Strategy


class {Name}(Strategy):
    """Continue from θ_{{t−1}} on the newest events of the increment; the others still enter the graph.

    A strategy differs from fine-tuning in as few places as it can; `gnnrec.strategies.base.Strategy` lists them. One that
    stores something between increments also says what, so that a run can be resumed.

    Args:
        share: of the increment's events, in (0, 1].
        seed: of the strategy's own random choices; this one makes none.
    """

    def __init__(self, share: float = 0.5, seed: int = 0) -> None:
        super().__init__(seed)
        if not 0 < share <= 1:
            raise GnnrecError(f"strategy.share={{share}} must be in (0, 1]")
        self.share = share

    def data(self, events: Interactions, new: Observed) -> Interactions:
        """Return the events to fit on; `events` are sorted by time."""
        return events.take(slice(len(events) - round(self.share * len(events)), None))
'''

ENCODER = '''"""{Name}: a node's own row with the mean of its neighbours'."""

from __future__ import annotations

import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import Embeddings
from gnnrec.graph.bipartite import BipartiteGraph


class {Name}(Encoder):
    """e = (1 − share) · x + share · P x, with P = D^-1/2 A D^-1/2 and x the tables' rows.

    `gnnrec.encoders.base.Encoder` lists what an encoder may also do: the embeddings of a batch's nodes alone, faster than
    those of all, and training some rows only.

    Args:
        width: d.
        share: weight of the neighbours, in [0, 1].
        scale: standard deviation of random initial rows.
    """

    def __init__(self, width: int = 64, share: float = 0.5, scale: float = 0.1) -> None:
        super().__init__(width, scale, layers=1)
        if not 0 <= share <= 1:
            raise GnnrecError(f"encoder.share={{share}} must be in [0, 1]")
        self.share = share

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return [u, d] and [i, d], and the rows they come from."""
        layers = torch.tensor([1 - self.share, self.share])
        user, item = graph.polynomial(self.user.weight, self.item.weight, layers)
        return Embeddings(user, item, self.user.weight, self.item.weight)
'''

YAML = {
    "strategy": """# The newest of the increment's events.
_target_: {package}.{name}.{Name}
share: 0.5
seed: ${{seed}}
""",
    "encoder": """# A node's own row with the mean of its neighbours'.
_target_: {package}.{name}.{Name}
width: 64
share: 0.5
scale: 0.1
""",
}
TEST = {
    "strategy": '''"""{Name} keeps the contract of a strategy."""

from gnnrec.testing.strategies import StrategyContract

from {package}.{name} import {Name}


class Test{Name}(StrategyContract):
    make = staticmethod(lambda: {Name}(share=0.5))
''',
    "encoder": '''"""{Name} keeps the contract of an encoder."""

from gnnrec.testing.encoders import EncoderContract

from {package}.{name} import {Name}


class Test{Name}(EncoderContract):
    make = staticmethod(lambda: {Name}(width=8))
''',
}
CODE = {"strategy": STRATEGY, "encoder": ENCODER}
USE = {"strategy": '"strategies=[fine_tune,{name}]"', "encoder": "encoder={name}"}


def run(parser: argparse.ArgumentParser, rest: Sequence[str]) -> int:
    """Write the files of a plug-in below the current folder."""
    parser.description = "Write a plug-in to begin with: code, configuration and test."
    parser.add_argument("kind", choices=tuple(CODE))
    parser.add_argument("name", help="in small letters, such as newest_events")
    parser.add_argument("--package", default="my_package", help="folder of the code (default my_package)")
    parser.add_argument("-cd", "--config-dir", default="my_conf", help="folder of the configuration (default my_conf)")
    given = parser.parse_args(rest)
    _check_name(given.kind, given.name)
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in given.package.split(".")):
        raise GnnrecError(f"--package {one_line(given.package)} cannot be imported; choose letters, digits and _")
    written = write(given.kind, given.name, given.package, Path(given.config_dir))
    print("\n".join(f"wrote {path}" for path in written))
    use = USE[given.kind].format(name=given.name)
    print(f"\ncheck it:    gnnrec check {written[-2]}\ntest it:     pytest {written[-1]}")
    print(
        f'compare it:  gnnrec compare --config-dir {given.config_dir} "plugins.allow=[{given.package}.]" '
        f"experiment=quickstart {use}"
    )
    return 0


def write(kind: str, name: str, package: str, config_dir: Path) -> list[Path]:
    """Write code, configuration and test, in this order, and return where they are; nothing is written over."""
    words = {"name": name, "Name": "".join(w.capitalize() for w in name.split("_")), "package": package}
    folder = Path(*package.split("."))
    files = {
        folder / f"{name}.py": CODE[kind],
        config_dir / kind / f"{name}.yaml": YAML[kind],
        Path(f"test_{name}.py"): TEST[kind],
    }
    if there := [path for path in files if path.exists()]:
        raise GnnrecError(f"{there[0]} is there already; choose another name, or remove it")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.format(**words))
    for parent in (folder, *folder.parents[:-1]):
        (parent / "__init__.py").touch()
    return list(files)


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise GnnrecError(
            f"'{one_line(name)}' is no name for a module; write small letters, digits and _, such as my_{kind}"
        )
    if name in conf.groups()[kind]:
        raise GnnrecError(f"there is a {kind} '{name}' already; choose another name")
