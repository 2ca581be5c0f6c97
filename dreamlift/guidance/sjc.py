"""Score Jacobian chaining (SJC, arXiv:2212.00774): SDS, found from another side.

It perturbs y + s n with s = sigma / alpha and averages (D - y) / s over n, D the denoised sample.
With z_t = alpha (y + s n) and D = (z_t - sigma eps_hat) / alpha that is -(eps_hat - n): SDS, with
w = 1. Without its reduction of variance, (D - y - s n) / s = -eps_hat, nothing is subtracted.
"""

from dreamlift.guidance import courses
from dreamlift.guidance.scores import Score
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import uniform


def sjc(score: Score, *, reduced: bool = True) -> SDS:
    """Perturb and average; `reduced`: with its reduction of variance."""
    return SDS(score, courses.SJC, weight=uniform, control=float(reduced))
