"""Secrets: struck out of all that comes from a target, and never shown by themselves."""

from harness.model.secrets import Secrets

TOKEN = "tok-0123456789"


def test_struck_from_text_bytes_and_documents() -> None:
    """Wherever it stands, keys of a document included; all else stays as it is."""
    secrets = Secrets((TOKEN,))
    document = {"a": [f"x {TOKEN}", 1, None, 2.5, True], f"{TOKEN}!": {"b": TOKEN}}

    assert secrets.strike(f"bad {TOKEN}, {TOKEN}") == "bad [secret], [secret]"
    assert secrets.strike_bytes(b"\xff" + TOKEN.encode()) == b"\xff[secret]"
    assert secrets.strike_document(document) == {
        "a": ["x [secret]", 1, None, 2.5, True],
        "[secret]!": {"b": "[secret]"},
    }


def test_one_inside_another_leaves_nothing() -> None:
    """The longer one goes first, or its rest would stay."""
    assert Secrets((TOKEN, TOKEN + "-long")).strike(f"{TOKEN}-long") == "[secret]"


def test_short_value_is_left() -> None:
    """A few letters are part of ordinary words."""
    assert Secrets(("at",)).strike("what") == "what"
    assert not Secrets(("at",))


def test_not_shown() -> None:
    """Printing the value that holds them shows none."""
    assert TOKEN not in repr(Secrets((TOKEN,)))
