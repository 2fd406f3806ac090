"""Student's t, with as few degrees of freedom as a fraction allows. Pure."""

from scipy.special import stdtrit

FREEDOM_MAX = 1e6  # beyond it the normal distribution, which the routine approaches


def student_quantile(freedom: float, upper_share: float) -> float:
    """The value that t exceeds with probability *upper_share*."""
    return -float(stdtrit(min(freedom, FREEDOM_MAX), upper_share))
