"""
Make one shard's plan and leave it on disk: a process of its own, whose memory goes with it.

`python -m harness.engine.replan_process`, told a PlanSpecification -> event finished.
"""

from pathlib import Path

from harness.engine import child
from harness.engine.shard_file import write_plan
from harness.engine.specification import PlanSpecification
from harness.system import load_system


def main() -> None:
    specification = child.read_specification(PlanSpecification)
    scenario = specification.scenario
    plan = load_system(scenario.system).planner.plan(
        scenario,
        seed=specification.seed,
        shard=specification.shard,
        shard_count=specification.shard_count,
    )
    write_plan(Path(specification.folder), plan, payloads=None)
    child.say("finished")


if __name__ == "__main__":
    main()
