"""`acctbench completion`: the script that teaches a shell to complete the command line."""

import click
from click.shell_completion import get_completion_class

from harness.cli.console import print_result

_VARIABLE = "_ACCTBENCH_COMPLETE"  # click's own name for it: the script asks the program through it
_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Install, then open a new shell:
  bash  echo 'eval "$(acctbench completion bash)"' >> ~/.bashrc
  zsh   echo 'eval "$(acctbench completion zsh)"' >> ~/.zshrc    (after compinit)
  fish  acctbench completion fish > ~/.config/fish/completions/acctbench.fish

\b
Examples:
  acctbench completion bash
  acctbench completion zsh
"""
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print the script that makes Tab complete acctbench.

    It completes commands, options, scenarios, profiles, targets and stored runs, as they are at
    that moment.
    """
    complete = get_completion_class(shell)
    assert complete is not None, shell
    print_result(complete(ctx.find_root().command, {}, "acctbench", _VARIABLE).source())
