"""Pure scores from embeddings, how sure a mean of them is, and how far two sets of them are apart.

A score matrix has a row for each of `v` pictures and a column for each of `n` captions; the
greater a score, the better the caption fits.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CONFIDENCE = 0.95
FEW = 10
"""Objects below which a bootstrap knows too little to be trusted."""
RESAMPLES = 10_000


def ranked_first(scores: Float[Tensor, "v n"], target: int = 0) -> Bool[Tensor, " v"]:
    """Where the target's score is above all others': a tie is not a first place."""
    return scores[:, target] > _others(scores, target).amax(1)


def r_precision(scores: Float[Tensor, "v n"], target: int = 0) -> float:
    """The share of pictures whose own caption ranks first (Park et al., NeurIPS 2021 Datasets)."""
    return float(ranked_first(scores, target).double().mean())


def mistaken(
    scores: Float[Tensor, "v n"], captions: Sequence[str], target: int = 0
) -> list[tuple[str, int]]:
    """The captions that came first in the target's place, most frequent first, and how often."""
    wrong = ~ranked_first(scores, target)
    best = _others(scores, target).argmax(1)[wrong].tolist()
    return Counter(str(captions[i]) for i in best).most_common()


def _others(scores: Float[Tensor, "v n"], target: int) -> Float[Tensor, "v n"]:
    """The scores with the target's taken out of the race."""
    if scores.shape[1] < 2:
        raise ValueError(f"To rank first takes 2 captions or more, not {scores.shape[1]}.")
    others = scores.clone()
    others[:, target] = -torch.inf
    return others


def share_called(
    said: Float[Tensor, "b k"], answer: int, among: Bool[Tensor, " b"] | None = None
) -> float:
    """The share of pictures, of those `among`, for which a classifier's first answer is `answer`.

    With azimuths beyond 90 degrees and the answer "front", this is the Janus rate.
    """
    called = said.argmax(1) == answer
    return float((called if among is None else called[among]).double().mean())


def wilson(share: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share of n independent yes-or-no trials (1927).

    Of shares in [0, 1] it is too wide rather than too narrow: none varies more than yes and no.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    values: Sequence[float], confidence: float = CONFIDENCE, *, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over resampled objects (Efron, 1979), the same each time."""
    data = torch.tensor(values, dtype=torch.float64)
    rng = torch.Generator().manual_seed(seed)
    index = torch.randint(len(data), (RESAMPLES, len(data)), generator=rng)
    tails = torch.tensor([0.5 - confidence / 2, 0.5 + confidence / 2], dtype=torch.float64)
    low, high = data[index].mean(1).quantile(tails).tolist()
    return low, high


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Where the mean of shares in [0, 1] lies, one share for each independent object.

    Views of one object are not independent, so objects are resampled, never views. Of fewer than
    `FEW` objects, and where all agree, resampling says too little: then Wilson's, one trial each.
    """
    if not values:
        raise ValueError("An interval needs at least one value.")
    if len(values) < FEW or max(values) - min(values) < 1e-9:
        return wilson(sum(values) / len(values), len(values), confidence)
    return bootstrap(values, confidence)


def kernel_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """How far two samples of features are from one distribution; 2 or more of each.

    The squared maximum mean discrepancy under the kernel (a . b / d + 1)^3, unbiased, so that of
    one distribution it is as often below 0 as above (KID: Binkowski et al., arXiv:1801.01401).
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"A distance needs 2 features or more on each side, not {n} and {m}.")
    x, y = x.double(), y.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.diagonal().sum()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())
