"""Many hypotheses tested at once: what each p-value is worth among the others. Pure."""

from collections.abc import Sequence


def holm(chances: Sequence[float], family_count: int) -> list[float]:
    """
    Holm's step-down adjustment of *chances* in a family of *family_count* hypotheses.

    Hypotheses of the family without a chance, such as faulty metrics, count as never rejected; more
    chances than the family has members are those that can't be rejected at all, and come last.
    """
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    adjusted, highest = [1.0] * len(chances), 0.0
    for step, place in enumerate(order):
        highest = max(highest, min(1.0, chances[place] * max(1, family_count - step)))
        adjusted[place] = highest
    return adjusted
