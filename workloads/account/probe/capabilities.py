"""
Does a target fit a scenario? By what it declares, never by trying.

A target with ControlService declares in Capabilities; of one without, its file may (`[contract]
features`). Where neither declares anything, only what the scenario requires explicitly is an error:
the rest is sent, and what the target can't do shows as failed operations.
"""

from harness.errors import TargetError, UsageError
from harness.model.scenario import LoadTransport, Scenario, StepAction
from harness.system import Endpoint
from workloads.account.contract import accounts_pb2 as contract
from workloads.account.terms.workload import parse_workload

CONTRACT_VERSION = "accounts.v1"


def check_fit(
    capabilities: contract.Capabilities | None,
    endpoint: Endpoint,
    scenario: Scenario,
    *,
    seed_by: str,
) -> None:
    """
    Reject a target that can't do what the scenario and its own file ask of it.

    Raises:
        UsageError: it lacks something; all of it is named, with what asks for it.
        TargetError: it speaks another contract.
    """
    if capabilities is None and seed_by == "control":
        raise UsageError(
            "target: has no ControlService to seed it by; "
            'write [seed] by = "transfers" in its target file'
        )
    if capabilities is not None and capabilities.contract_version != CONTRACT_VERSION:
        raise TargetError(
            f'target: speaks contract "{capabilities.contract_version}", '
            f'not "{CONTRACT_VERSION}"; use a build that does'
        )
    needs = _explicit(scenario)
    declared = set(endpoint.features)
    if capabilities is not None:
        declared = set(capabilities.features)
        if seed_by == "control":
            needs.setdefault("seed", '[seed] by = "control" in the target file')
    if declared:
        needs = _implied(scenario) | needs
    missing = {feature: by for feature, by in needs.items() if feature not in declared}
    if missing:
        listed = ", ".join(f'"{feature}" (needed by {by})' for feature, by in missing.items())
        raise UsageError(f"target: can't do {listed}; {_declaration(capabilities, declared)}")


def _explicit(scenario: Scenario) -> dict[str, str]:
    return dict.fromkeys(scenario.requires, f'requires of scenario "{scenario.name}"')


def _implied(scenario: Scenario) -> dict[str, str]:
    """Features that the scenario's own operations are made of, and which of them needs each."""
    workload = parse_workload(scenario.workload)
    mix = workload.mix
    needs = {}
    if mix.amend:
        needs["amend"] = "workload.mix.amend"
    if mix.fill or mix.ioc:
        needs["executions"] = f"workload.mix.{'fill' if mix.fill else 'ioc'}"
    if mix.pend:
        needs["two_phase"] = "workload.mix.pend"
    if workload.read_your_writes and mix.get_balances + mix.list_ledger:
        needs["read_your_writes"] = "workload.read_your_writes"
    if workload.subscriptions:
        needs["stream_account"] = "workload.subscriptions"
    if scenario.load.transport is LoadTransport.STREAM:
        needs["reserve_stream"] = 'load.transport = "stream"'
    if any(step.action is StepAction.KILL_RESTART for step in scenario.steps):
        needs["durable"] = "steps: kill-restart-target"
    return needs


def _declaration(capabilities: contract.Capabilities | None, declared: set[str]) -> str:
    listed = ", ".join(sorted(declared))
    if capabilities is not None:
        return f"its Capabilities say {listed or 'nothing'}; use another scenario or another target"
    if declared:
        return f"its target file says {listed} ([contract] features); use another scenario"
    return (
        "it has no ControlService to say so; if it can, write [contract] features = "
        "[...] in its target file"
    )
