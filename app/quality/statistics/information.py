"""How much an answer to a pair would tell about what people prefer, in nats. Pure.

The mutual information between the answer and whatever is not known (Lindley 1956; for classifiers Houlsby, Huszár,
Ghahramani and Lengyel 2011, "BALD"): H(E p) - E H(p), H the entropy of a choice between two, over what p may be. A pair
on which everything that may be so says 50 to 50 tells nothing; one on which it is sure of different things tells most.
"""

from collections.abc import Mapping

import numpy as np

from app.quality.statistics.intervals import Floats
from app.quality.statistics.raters import logistic

PRIOR = 1.0  # standard deviation of a coefficient beforehand, in log-odds for one standard deviation of its feature
NODES, SHARES = np.polynomial.hermite_e.hermegauss(15)
SHARES = SHARES / SHARES.sum()
LEAST_DRAWN = 0.15  # of any beginning of the queue


def entropy(p: Floats) -> Floats:
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(-q * np.log(q) - (1 - q) * np.log(1 - q))


def between(chances: Floats, shares: Floats) -> Floats:
    """(n,) nats of what an answer tells. chances: (m, n) of the first answer, by each that may be so; shares: (m,)."""
    return np.maximum(entropy(shares @ chances) - shares @ entropy(chances), 0.0)


def of_members(differences: Floats) -> Floats:
    """By an ensemble. differences: (members, n) of scores, first minus second, in log-odds."""
    return between(logistic(differences), np.full(len(differences), 1 / len(differences)))


def fit(x: Floats, points: Floats, prior: float = PRIOR) -> tuple[Floats, Floats]:
    """A Bradley-Terry model on features of the answers: the most probable coefficients and their covariance (Laplace).

    x: (n, m) differences, first minus second; points: (n,) 1 where the first was preferred, ½ a tie, 0.
    """
    m = x.shape[1]
    beta, ridge = np.zeros(m), np.eye(m) / prior**2
    information = ridge
    for _round in range(30):
        p = logistic(np.clip(x @ beta, -40, 40))
        information = (x * (p * (1 - p))[:, None]).T @ x + ridge
        step = np.clip(np.linalg.solve(information, x.T @ (points - p) - ridge @ beta), -3, 3)
        beta = beta + step
        if np.abs(step).max(initial=0) < 1e-8:
            break
    return beta, np.asarray(np.linalg.inv(information))


def of_fit(x: Floats, beta: Floats, covariance: Floats) -> Floats:
    """By a fit. x: (n, m) of the pairs that might be asked."""
    middle = x @ beta
    spread = np.sqrt(np.maximum(np.einsum("nm,mk,nk->n", x, covariance, x), 0))
    return between(logistic(middle[None] + NODES[:, None] * spread[None]), SHARES)


def places(gains: Mapping[int, float], drawn: Mapping[int, float]) -> dict[int, float]:
    """Where tasks stand, 0 first … 1 last: the chosen by what they tell, the drawn in their own order, mixed so that of
    any beginning the drawn are their share, and LEAST_DRAWN at least as long as there are any.

    gains: of the chosen; drawn: anything that orders the others and says nothing about them.
    """
    whole = len(gains) + len(drawn)
    share = max(LEAST_DRAWN, len(drawn) / whole) if whole else 0.0
    first = sorted(drawn, key=lambda task: (drawn[task], task))
    then = sorted(gains, key=lambda task: (-gains[task], task))
    order: list[int] = []
    taken = 0
    for place in range(whole):
        is_drawn = taken < len(first) and (taken < share * (place + 1) or place - taken >= len(then))
        order.append(first[taken] if is_drawn else then[place - taken])
        taken += is_drawn
    return {task: (place + 0.5) / whole for place, task in enumerate(order)}
