"""
A Page as one self-contained HTML file.

Inlines the style sheet and the script; the page's own policy forbids every request, so a browser
enforces what we claim. Charts and flame graphs travel as JSON in script blocks and are drawn as
SVG: vectors stay sharp on paper and take their colours from the style sheet in light and dark.
Same page in, same bytes out: no clock, no random id, sorted keys.
"""

import json
from dataclasses import asdict
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.pages.model import (
    Chart,
    FlameGraph,
    Page,
    Strip,
    charts_of,
    flames_of,
    strips_of,
    trends_of,
)
from reports.pages.release.page import ReleasePage

CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'"
)

# Each uses those before it.
_SCRIPTS = ("scales.js", "charts.js", "strips.js", "flame.js", "trends.js", "page.js")


def render_page(page: Page) -> str:
    template = _environment().get_template("page.html.j2")
    strips = [_strip_json(strip) for strip in strips_of(page)]
    trends = [asdict(item) for item in trends_of(page)]
    return template.render(
        page=page,
        charts_json=_script_json([_drawing_json(chart) for chart in charts_of(page)]),
        flames_json=_script_json([_drawing_json(flame) for flame in flames])
        if (flames := flames_of(page))
        else "",
        strips_json=_script_json(strips) if strips else "",
        trends_json=_script_json(trends) if trends else "",
        style=Markup(_asset("page.css")),  # noqa: S704 - our own file, not a run's text
        script=Markup("".join(map(_asset, _SCRIPTS))),  # noqa: S704 - likewise
        content_policy=CONTENT_POLICY,
    )


def render_release_page(page: ReleasePage) -> str:
    """The HTML of a sign-off: no script, so that what is printed is what is in the file."""
    return (
        _environment()
        .get_template("release.html.j2")
        .render(
            page=page,
            style=Markup(_asset("page.css") + _asset("release.css")),  # noqa: S704 - our own files
            content_policy=CONTENT_POLICY,
        )
    )


def _script_json(value: object) -> Markup:
    """*value* as JSON that can't end the script block it stands in."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - no letter is left that HTML knows


def _drawing_json(drawing: Chart | FlameGraph) -> dict[str, object]:
    document = asdict(drawing)
    for words in ("explanation", "note", "absence"):  # the template has said them already
        del document[words]
    return document


def _strip_json(strip: Strip) -> dict[str, object]:
    return {"a": strip.a, "b": strip.b, "low": strip.low, "high": strip.high}


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reports.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _asset(name: str) -> str:
    return (resources.files("reports.render") / "static" / name).read_text(encoding="utf-8")
