"""Message passing: the symmetric-normalised product over a growing graph, and its own backward.

P = [[0, Â], [Âᵀ, 0]] with Â = D_u^-1/2 · A · D_i^-1/2 is symmetric, and so is every polynomial of P: the gradient of
Σ w_l P^l x is Σ w_l P^l g. No layer output is stored, no edge weight is kept: degrees are applied around the product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gnnrec.graph.bipartite import BipartiteGraph


class Propagate(torch.autograd.Function):
    """Σ_l weights[l] · P^l over (user [u, d], item [i, d]), in float32 or float64 whatever autocast asks for."""

    @staticmethod
    def forward(
        ctx: Any, user: Tensor, item: Tensor, graph: BipartiteGraph, weights: tuple[float, ...]
    ) -> tuple[Tensor, Tensor]:
        ctx.graph, ctx.weights = graph, weights
        return polynomial(graph, user, item, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        user, item = polynomial(ctx.graph, grads[0], grads[1], ctx.weights)
        return user, item, None, None


def polynomial(graph: BipartiteGraph, user: Tensor, item: Tensor, weights: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Return Σ_l weights[l] · P^l (user, item) without recording gradients; [u, d], [i, d]."""
    # Half-precision CSR products do not exist on every device, so autocast stops here.
    user, item = (x if x.dtype == torch.float64 else x.float() for x in (user, item))
    scale_user, scale_item = (_inverse_root(d).to(user.dtype) for d in (graph.degree_user, graph.degree_item))
    total_user, total_item = weights[0] * user, weights[0] * item
    for weight in weights[1:]:
        user, item = one_pass(graph, user, item, scale_user, scale_item)
        if weight:
            total_user.add_(user, alpha=weight), total_item.add_(item, alpha=weight)
    return total_user, total_item


def one_pass(
    graph: BipartiteGraph, user: Tensor, item: Tensor, scale_user: Tensor, scale_item: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (Â · item, Âᵀ · user) for scales [u, 1], [i, 1] applied before and after the products."""
    from_user, from_item = scale_user * user, scale_item * item
    to_user, to_item = torch.zeros_like(user), torch.zeros_like(item)
    for s in graph.segments:
        users, items = len(s.degree_user), len(s.degree_item)
        # In place: a product of its own and an addition would cost three more passes over the table.
        to_user[:users].addmm_(s.by_user.to(user.dtype), from_item[:items])
        to_item[:items].addmm_(s.by_item.to(item.dtype), from_user[:users])
    return to_user.mul_(scale_user), to_item.mul_(scale_item)


def _inverse_root(degree: Tensor) -> Tensor:
    """Return degree^-1/2 as a column [n, 1], 0 for a node without edges."""
    return torch.where(degree > 0, degree.clamp(min=1).rsqrt(), 0.0).unsqueeze(1)
