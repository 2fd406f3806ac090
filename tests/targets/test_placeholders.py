"""Placeholders: what is replaced, what stays, and what is told of one that is not known."""

from harness.targets.placeholders import fill, unknown_placeholders

VALUES = {"grpc_port": "1", "kafka": "k"}


def test_only_placeholders_are_replaced() -> None:
    """Braces that name no placeholder, such as JSON, stay; doubled ones are taken off."""
    assert fill("{grpc_port}", VALUES) == "1"
    assert fill("x{kafka}y{kafka}", VALUES) == "xkyk"
    assert fill('{"a": {"b": 1}}', VALUES) == '{"a": {"b": 1}}'
    assert fill("{{level}} {{kafka}}", VALUES) == "{level} {kafka}"


def test_value_is_not_filled_again() -> None:
    """A value that looks like a placeholder is put in as it is."""
    assert fill("{kafka}", {"kafka": "{grpc_port}", "grpc_port": "1"}) == "{grpc_port}"


def test_every_unknown_one_is_named() -> None:
    """All of them at once, with what is known and how to write the text itself."""
    said = unknown_placeholders("{prot} {kafka} {hots} {prot}", ("kafka",))

    assert said.startswith("{prot}, {hots}: no placeholder; write one of {kafka}")
    assert "{{prot}}" in said


def test_one_of_another_place_is_told_apart() -> None:
    """A build can't know the broker, and is told so."""
    assert "known at the start only" in unknown_placeholders("{kafka}", ("workdir",))
    assert unknown_placeholders("{workdir} {{kafka}}", ("workdir",)) == ""
