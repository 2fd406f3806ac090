"""
The one command, `acctbench`: finds the subcommand, turns every failure into a message and a code.

Subcommands are imported when they are called, and what is heavy when they do their work: help and
completion answer in a tenth of a second, and a broken table library does not keep `doctor` from
saying so.
"""

import shlex
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from harness.cli.completions import packaged_scenarios
from harness.cli.console import people, printable
from harness.errors import (
    AuditFailedError,
    BrokerError,
    HarnessError,
    TargetError,
    TransportError,
    UsageError,
)
from harness.model.verdict import EXIT_SENTENCES, ExitCode

COMMANDS: dict[str, str] = {
    "run": "harness.cli.run_command:run",
    "profile": "harness.cli.profile_command:profile",
    "plan": "harness.cli.plan_command:plan",
    "report": "harness.cli.report_command:report",
    "compare": "harness.cli.compare_command:compare",
    "gate": "harness.cli.gate_command:gate",
    "baseline": "harness.cli.baseline_command:baseline",
    "history": "harness.cli.history_command:history",
    "signoff": "harness.cli.signoff_command:signoff",
    "verify": "harness.cli.verify_command:verify",
    "list": "harness.cli.list_command:list_things",
    "init": "harness.cli.init_command:init",
    "micro": "harness.cli.micro_command:micro",
    "doctor": "harness.cli.doctor_command:doctor",
    "completion": "harness.cli.completion_command:completion",
    "kafka": "harness.cli.kafka_command:kafka",
}
_ERROR_CODES: tuple[tuple[type[HarnessError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (TargetError, ExitCode.TARGET_FAILED),
    (BrokerError, ExitCode.TARGET_FAILED),
    (TransportError, ExitCode.TARGET_FAILED),
    (AuditFailedError, ExitCode.AUDIT_FAILED),
    (HarnessError, ExitCode.INVALID),
)


class _LazyGroup(click.Group):
    """Commands by name, in the order of a user's day."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The program's own options; one of a run, written before the command, is told so."""
        given = shlex.join(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            run = self.get_command(ctx, "run")
            if run is None or not any(error.option_name in item.opts for item in run.params):
                raise
            ctx.fail(f"{error.message} Write the command first: acctbench run {given}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument; what is none is answered with what was meant."""
        word = args[0]
        if word in COMMANDS or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        if word.endswith(".toml") or word in packaged_scenarios():
            ctx.fail(f"{word!r} is a scenario. Write the command first: acctbench run {word}")
        import difflib

        near = difflib.get_close_matches(word, COMMANDS, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"No such command {word!r}.{meant}", ctx)


def _exit_code_help() -> str:
    codes = "\n".join(f"  {code.value}  {EXIT_SENTENCES[code]}" for code in ExitCode)
    return f"\b\nExit codes:\n{codes}"


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"""\b
Examples:
  acctbench run
  acctbench run spot-steady --rate 2000/s --duration 20s

{_exit_code_help()}""",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected failure.")
@click.version_option(package_name="acctbench")
def acctbench(debug: bool) -> None:
    """Drive an account service over gRPC and Kafka on one schedule, audit it, report it."""
    del debug  # read by main, which handles failures


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # In the background of a script. What is ignored is inherited, and a target may be told to
        # end by SIGINT: a handler that does nothing stays here.
        signal.signal(signal.SIGINT, lambda *_: None)
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(arguments: list[str]) -> int:
    """Run the command line; every failure is told, and is a code."""
    try:
        result = acctbench.main(arguments, prog_name="acctbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        people.print("interrupted", style="bold red")
        return ExitCode.INVALID
    except HarnessError as error:
        people.print(printable(str(error)), style="red")
        return next(code for kind, code in _ERROR_CODES if isinstance(error, kind))
    except Exception as error:  # noqa: BLE001 -- the last place that can say what happened
        return _unexpected(error, is_debug="--debug" in arguments)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _unexpected(error: Exception, *, is_debug: bool) -> int:
    """Say it in one line; the traceback goes to a file, or with --debug to the terminal."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    what = printable(f"{type(error).__name__}: {error}")
    people.print(f"a fault of acctbench itself: {what}", style="red")
    if is_debug:
        people.print(printable(text))
    else:
        with tempfile.NamedTemporaryFile(
            "w", prefix="acctbench-", suffix=".traceback", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        people.print(f"its traceback is in {Path(file.name)}; --debug shows it here")
    return ExitCode.INVALID


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a command the way Ctrl-C does, so that everything is stopped on the way out."""
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
