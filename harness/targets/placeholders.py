"""
Placeholders of target files: {word} in a command, a build step or an environment value.

Other braces, such as those of JSON, stay as they are; {{word}} is a {word} that is no placeholder.
"""

import re
from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "python": "the interpreter that runs the harness",
    "here": "the folder of the target file",
    "workdir": "the run's own work folder, empty at the start",
    "grpc_port": "the port to listen on; 0 where the service picks one and says so",
    "kafka": "the broker, host:port",
    "kafka_linger_ms": "how long a producer's batch should wait for company with that broker",
    "kafka_fetch_wait_ms": "how long a consumer should let it hold back an empty answer",
    "kafka_idempotence": "on where it has idempotent producers, else off",
    "topic_prefix": "what every topic's name begins with",
    "reference_data": "a JSON file of what the scenario trades (accounts.v1.ReferenceData)",
}
KNOWN_WHILE_BUILDING = ("python", "here", "workdir")

_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")


def names_in(text: str) -> list[str]:
    """Every placeholder of *text*, known or not, in its order."""
    return [name for _, name in _PLACEHOLDER.findall(text) if name]


def unknown_placeholders(text: str, known: tuple[str, ...]) -> str:
    """What is wrong with the placeholders of *text* ("value; remedy"); empty if nothing."""
    wrong = [name for name in names_in(text) if name not in known]
    if not wrong:
        return ""
    listed = ", ".join(f"{{{name}}}" for name in dict.fromkeys(wrong))
    why = "known at the start only" if set(wrong) <= set(MEANINGS) else "no placeholder"
    choice = ", ".join(f"{{{name}}}" for name in known)
    return f"{listed}: {why}; write one of {choice}, or {{{{{wrong[0]}}}}} for the text itself"


def fill(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        literal, name = match[1], match[2]
        return f"{{{literal}}}" if literal else values.get(name, match[0])

    return _PLACEHOLDER.sub(value, text)
