"""`acctbench kafka`: the Apache Kafka of `--kafka apache`, installed."""

import click

from harness.cli.console import people, print_json, print_result
from harness.targets.apache_install import install as install_kafka
from harness.targets.apache_install import install_folder, pinned_version


@click.group()
def kafka() -> None:
    """Install the Apache Kafka that --kafka apache starts."""


@kafka.command(
    epilog="""\b
Examples:
  acctbench kafka install
  acctbench kafka install --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def install(as_json: bool) -> None:
    """
    Have Maven fetch Apache Kafka into your cache, and check every byte.

    Needs Java 17 or later and Maven, whose settings say which registry is asked; about 43 MB.
    Prints the folder. Does nothing where it is installed already; delete the folder to be rid of
    it.
    """
    people.print(f"Apache Kafka {pinned_version()}, into {install_folder()}", style="dim")
    found = install_kafka()
    if as_json:
        print_json(
            {
                "version": found.version,
                "folder": str(found.jars),
                "java": found.java.program,
                "java_version": found.java.version,
            }
        )
    else:
        print_result(str(found.jars))
