"""What choices follow beside the answers' worth: their place, their length, and the mood of the day. Pure.

Sides are drawn for each showing, so what is preferred for its place is the place's doing. Lengths are not drawn: good
answers may be long ones, so what choices owe to length is a description and no cause.
"""

import numpy as np

from app.quality.statistics.intervals import Z_95, Estimate, Floats, Ints

RIDGE = 1e-3  # of one standard deviation: where everybody prefers the longer answer there is still a number


def logistic_regression(x: Floats, y: Floats, cluster: Ints, weight: Floats | None = None) -> list[Estimate]:
    """Coefficients of x (n, m) on y (n,) of 0 or 1 by Newton's method; intervals from the sandwich over clusters, which
    are tasks: their answers depend on each other (Liang and Zeger 1986). weight: (n,) how many each stands for."""
    n, m = x.shape
    w = np.ones(n) if weight is None else weight / weight.mean()
    if n <= m or np.ptp(y) == 0:
        return [Estimate(None)] * m
    beta = np.zeros(m)
    for _round in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -500, 500)))
        information = (x * (w * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(m)
        step = np.linalg.solve(information, x.T @ (w * (y - p)) - RIDGE * beta)
        beta = beta + np.clip(step, -4, 4)
        if np.abs(step).max() < 1e-9:
            break
    _ids, place = np.unique(cluster, return_inverse=True)
    clusters = int(place.max()) + 1
    scores = np.zeros((clusters, m))
    np.add.at(scores, place, x * (w * (y - 1 / (1 + np.exp(-np.clip(x @ beta, -500, 500)))))[:, None])
    bread = np.linalg.inv(information)
    spread = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread) * clusters / max(clusters - 1, 1))
    ends = zip(beta, beta - Z_95 * spread, beta + Z_95 * spread, strict=True)
    return [Estimate(float(value), float(low), float(high), clusters) for value, low, high in ends]


def length_bias(task: Ints, chose_first: Floats, difference: Floats, weight: Floats | None = None) -> Estimate:
    """The odds of the first answer, times this for each doubling of its length over the other's. difference: (n,)
    log2 of the quotient of lengths, first over second. The place has a term of its own."""
    slopes = logistic_regression(np.stack([np.ones(len(task)), difference], axis=1), chose_first, task, weight)
    found = slopes[1]
    if found.value is None or found.low is None or found.high is None:
        return Estimate(None, n=len(task))
    value, low, high = (float(np.exp(np.clip(end, -50, 50))) for end in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.n)
