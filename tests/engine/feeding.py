"""A system that listens to server streams, for the subscriber's tests."""

from collections.abc import Sequence
from dataclasses import replace

from harness.model.scenario import Scenario
from harness.system import Probe, Subscription
from workloads.null import SYSTEM as NULL_SYSTEM


class Feeds(Probe):
    """As many feeds as the seed says, of two methods in turn."""

    def subscriptions(self, scenario: Scenario, *, seed: int) -> Sequence[Subscription]:
        """The request is the number of the subscription."""
        del scenario
        return [
            Subscription(
                address=f"/t.S/{'Tocks' if number % 2 else 'Ticks'}",
                message=b"%d" % number,
                label=f"feed {number}",
            )
            for number in range(seed)
        ]


SYSTEM = replace(NULL_SYSTEM, probe=Feeds())
