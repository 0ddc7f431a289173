"""LightGCN as PyTorch Geometric has it, trained by BPR in the loop of its own example.

Letters: n users asked for, e edges, k places of a list.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.nn.models import LightGCN

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.data.types import Ints
from gnnrec.outside.base import Released
from gnnrec.outside.pairs import best


class PyGLightGCN:
    """`torch_geometric.nn.models.LightGCN`, fitted anew at each increment on the distinct pairs that are released.

    As in PyG's examples/lightgcn.py: every step propagates over all pairs, negatives are drawn evenly from all items, and the
    number of epochs is set beforehand; nothing is selected.

    Args:
        width: columns of the embeddings.
        layers: of propagation.
        epochs: passes over the pairs.
        lr: rate of Adam.
        batch_size: pairs of a step.
        l2: weight of the embeddings' squares in the loss.
        seed: of embeddings, order and negatives.
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 2,
        epochs: int = 20,
        lr: float = 0.01,
        batch_size: int = 2048,
        l2: float = 1e-4,
        seed: int = 0,
    ) -> None:
        if min(width, layers, epochs, batch_size) < 1 or not lr > 0:
            raise GnnrecError(
                f"pyg_lightgcn: width={width}, layers={layers}, epochs={epochs} and batch_size={batch_size} must be 1 or "
                f"more, lr={lr} above 0"
            )
        self.width, self.layers, self.epochs = width, layers, epochs
        self.lr, self.batch_size, self.l2, self.seed = lr, batch_size, l2, seed
        self._user = self._item = torch.empty(0, width)

    def fit(self, observed: Released) -> None:
        """Train a new model on all pairs."""
        pairs = np.unique(np.stack([observed.events.user, observed.events.item]), axis=1)
        user, item = torch.from_numpy(pairs[0]), torch.from_numpy(pairs[1]) + observed.num_users
        edges = torch.stack([torch.cat([user, item]), torch.cat([item, user])])
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(derive(self.seed, "PyG LightGCN") % 2**63)
            model = LightGCN(observed.num_users + observed.num_items, self.width, self.layers)
            optimiser = torch.optim.Adam(model.parameters(), lr=self.lr)
            for _ in range(self.epochs):
                for batch in torch.randperm(len(user)).split(self.batch_size):  # type: ignore[no-untyped-call]
                    optimiser.zero_grad()
                    self._loss(model, edges, user[batch], item[batch], observed).backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
        with torch.no_grad():
            found = model.get_embedding(edges).detach()
        self._user, self._item = found[: observed.num_users], found[observed.num_users :]

    def _loss(self, model: LightGCN, edges: Tensor, user: Tensor, item: Tensor, observed: Released) -> Tensor:
        other = torch.randint(observed.num_users, observed.num_users + observed.num_items, item.shape)
        asked = torch.stack([user.repeat(2), torch.cat([item, other])])
        liked, disliked = model(edges, asked).chunk(2)
        nodes = torch.cat([user, item, other]).unique()  # type: ignore[no-untyped-call]
        found: Tensor = model.recommendation_loss(liked, disliked, node_id=nodes, lambda_reg=self.l2)
        return found

    def recommend(self, users: Ints, k: int) -> Ints:
        """Return the items of the k largest products of embeddings, [n, k], what users have taken among them."""
        return best((self._user[torch.from_numpy(users)] @ self._item.T).numpy(), k)

    @property
    def nbytes(self) -> int:
        """Bytes of the embeddings."""
        return 4 * self.width * (len(self._user) + len(self._item))
