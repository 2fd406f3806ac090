"""
The profiles of both sides of a comparison: which function made it slower, if there are any. Pure.

Profiles are looked at beside the verdict and never decide it: what they were taken of ran slower.
"""

from reports.compare.comparison import SideInput
from reports.pages.model import Section
from reports.pages.profile.diff_page import profile_diff_sections
from reports.profile.against import compare_profiles, has_compared, obstacles


def profile_sections(baseline: SideInput, candidate: SideInput) -> tuple[Section, ...]:
    """What changed in the profiles; none if neither side has any, and why if they don't compare."""
    sides = baseline.profile_side, candidate.profile_side
    present = [has_compared(side) for side in sides]
    if not any(present):
        return ()
    if not all(present):
        lacking = sides[present.index(False)].name
        return (_not_comparable((f"{lacking} has no profile to compare with",)),)
    found = obstacles(*sides)
    if found:
        return (_not_comparable(tuple(item.sentence for item in found)),)
    return profile_diff_sections(compare_profiles(*sides))


def _not_comparable(reasons: tuple[str, ...]) -> Section:
    return Section(
        id="profile-diff",
        title="What changed",
        lead="The profiles of both sides can't be compared.",
        remarks=reasons,
    )
