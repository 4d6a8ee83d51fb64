"""How pages are made: templates, how figures are written, and what every page has."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from knowdefeat_pipeline.core.money import digits
from knowdefeat_pipeline.core.schema import TABLES, VARIABLES
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.pages import drawing
from knowdefeat_pipeline.web.parameters import bot_address
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

FOLDER = Path(__file__).parent
STATIC = FOLDER.parent / "static"
NOTHING = "–"
MINUS = "−"
HTML = "text/html"
EMPTY = ("empty.html", "regimes_empty.html")  # what stands in the place of a page while there is nothing to show
# No script but our own files, nothing from elsewhere, and no style in the text of a page.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
MENU = (
    ("/", "Fleet"),
    ("/ranking", "Ranking"),
    ("/compare", "Compare"),
    ("/weights", "Weights"),
    ("/learning", "Learning"),
    ("/regimes", "Regimes"),
    ("/funds", "Funds"),
    ("/data", "Data"),
    ("/operations", "Operations"),
    ("/docs", "API"),
)


def number(value: Any, decimals: int = 0, sign: bool = False) -> str:
    """A number with thousands set apart; a dash where there is none.

    >>> number(1234.5, 1), number(-3, sign=True), number(None)
    ('1,234.5', '−3', '–')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    text = f"{abs(value):,.{decimals}f}"
    is_zero = not any(c in "123456789" for c in text)
    if is_zero:
        return text
    return f"{MINUS if value < 0 else '+' if sign else ''}{text}"


def money(value: Any, currency: str, sign: bool = True) -> str:
    """An amount with the decimals of its currency, by default with its sign."""
    return number(value, digits(currency), sign)


def short(value: float | None, currency: str) -> str:
    """An amount with its sign where there is little room: large ones in thousands (k), millions (M), and on; small ones
    with two significant digits, no finer than their currency.

    >>> short(12345.6, "USD"), short(-123456.0, "JPY"), short(2_558_612.0, "USD"), short(999_999_999.0, "USD")
    ('+12,346', '−123 k', '+2.56 M', '+1.00 B')
    >>> short(0.0247, "BTC"), short(-9.87, "USD"), short(0.001, "USD"), short(10.4, "USD"), short(None, "USD")
    ('+0.025', '−9.9', '0.00', '+10', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    size = float(f"{abs(value):.3g}")
    if size >= 1e5:
        unit, name = next(of for of in drawing.UNITS if size >= of[0])
        return f"{number(value / unit, 2 - math.floor(math.log10(size / unit)), True)} {name}"
    if size == 0 or size >= 10:
        return number(value, sign=True)
    return number(value, min(digits(currency), 1 - math.floor(math.log10(size))), True)


def figure(value: float | None, unit: str, currency: str) -> str:
    """A figure with the decimals of its unit (see `core.schema`): of money those of its currency.

    >>> figure(0.0247, "currency", "BTC"), figure(1.5, "currency/s", "JPY"), figure(1.5, "currency/s", "USD")
    ('0.02470000', '1.50', '1.5000')
    >>> figure(42.5, "percent", "BTC")
    '42.50'
    """
    return number(value, {"currency": digits(currency), "currency/s": digits(currency) + 2}.get(unit, 2))


def coloured(text: str) -> Markup:
    """A figure as it is written, with its sign, in the colour of its tone.

    >>> coloured(number(-0.04, 1, sign=True)), coloured("+2")
    (Markup('<span class="">0.0</span>'), Markup('<span class="up">+2</span>'))
    """
    return Markup(f'<span class="{tone(text)}">{text}</span>')  # noqa: S704 (a number)


def coloured_money(value: Any, currency: str, is_named: bool = False) -> Markup:
    """An amount with its sign, in the colour of its tone; `is_named`: with its currency, as where there are several.

    >>> coloured_money(-1.5, "USD"), coloured_money(2, "JPY", True)
    (Markup('<span class="down">−1.50</span>'), Markup('<span class="up">+2</span> <abbr>JPY</abbr>'))
    """
    shown = coloured(money(value, currency))
    return shown + Markup(" <abbr>{}</abbr>").format(currency) if is_named else shown


def coloured_places(value: int | None) -> Markup:
    """Places gained or lost, or a run of wins or losses, in the colour of its tone."""
    return coloured(number(value, sign=True))


def plain(value: Any) -> str:
    """A number with thousands set apart and the decimals that it has; a text as it is; a dash where there is none.

    >>> plain(Decimal("1234567.50")), plain(0.2), plain(24.0), plain("equal"), plain(None)
    ('1,234,567.50', '0.2', '24', 'equal', '–')
    """
    if isinstance(value, float):
        return f"{value:,.12g}"
    return NOTHING if value is None else f"{value:,}" if isinstance(value, int | Decimal) else str(value)


def price(value: float | None) -> str:
    """A price with six significant digits, as many decimals as that takes.

    >>> price(36148.2), price(0.0001234), price(1234567.8), price(100.0)
    ('36,148.2', '0.0001234', '1,234,568', '100')
    """
    if value is None:
        return NOTHING
    text = f"{value:,.{max(0, 5 - math.floor(math.log10(abs(value))))}f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tone(text: str) -> str:
    """The class of a figure that is good above 0 and bad below, by how it is written: what is written as 0 is neither.

    >>> tone("+0.1"), tone("−3"), tone("0.0"), tone(NOTHING)
    ('up', 'down', '', '')
    """
    return {"+": "up", MINUS: "down"}.get(text[:1], "")


def fits(text: str) -> str:
    """The class of a tile's figure that is too long for the size of the others.

    >>> fits("+12,345.67"), fits("−3,331,806,019.16")
    ('', ' long')
    """
    return " long" if len(text) > 12 else ""


def instant(value: datetime | None, seconds: bool = False) -> str:
    """UTC, to the minute or second."""
    return NOTHING if value is None else value.astimezone(UTC).strftime(f"%Y-%m-%d %H:%M{':%S' if seconds else ''}")


def span(value: timedelta) -> str:
    """How long something took or is ago, in the unit that fits.

    >>> [span(timedelta(seconds=s)) for s in (0.04, 4.84, 75, 600, 7_300, 200_000)]
    ['0.0 s', '4.8 s', '75 s', '10 min', '2 h', '2 days']
    """
    seconds = max(0.0, value.total_seconds())
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 129_600 else f"{seconds / 86_400:.0f} days"


def size(value: int | None) -> str:
    """Bytes in the unit that fits.

    >>> size(8192), size(207_700_000), size(1_500_000_000), size(None)
    ('8 kB', '207.7 MB', '1.5 GB', '–')
    """
    if value is None:
        return NOTHING
    if value < 1_000_000:
        return f"{value / 1_000:,.0f} kB"
    return f"{value / 1e6:,.1f} MB" if value < 1_000_000_000 else f"{value / 1e9:,.1f} GB"


def named_day(value: date) -> str:
    """A day as people say it: Fri 28 Nov 2026."""
    return f"{value:%a} {value.day} {value:%b %Y}"


@cache
def asset(name: str) -> str:
    """The address of a static file, another one once its content is."""
    content = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={content}"


@cache
def environment() -> Environment:
    """The templates."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "number": number,
        "money": money,
        "short": short,
        "figure": figure,
        "price": price,
        "tone": tone,
        "fits": fits,
        "coloured": coloured,
        "plain": plain,
        "quoted": quote,
        "instant": instant,
        "named_day": named_day,
        "span": span,
        "size": size,
    }
    made.globals |= {
        "asset": asset,
        "bot_address": bot_address,
        "coloured_money": coloured_money,
        "coloured_places": coloured_places,
        "draw": drawing,
        "menu": MENU,
        "variables": VARIABLES,
        "meaning": {f"{table}.{f.name}": f.description for table, figures in TABLES.items() for f in figures},
        "NOTHING": NOTHING,
    }
    return made


def address(path: str, query: Mapping[str, Any], **changes: Any) -> str:
    """An address with its query changed; what is None or empty is left out."""
    asked = {key: value for key, value in {**query, **changes}.items() if value not in (None, "")}
    return f"{path}?{urlencode(asked, doseq=True)}" if asked else path


def render(template: str, request: Request, site: Site, *, is_live: bool = True, **values: Any) -> Answer:
    """A page. One that is not `is_live` stays as it is when results change: somebody types there. Raises Problem (404)
    where a file is asked for of what is empty, so that nobody takes the page for the file."""
    if template in EMPTY and "format" in request.query_params:
        raise Problem(HTTPStatus.NOT_FOUND, "There is nothing to take along yet. The page says what to run.")
    query = {key: request.query_params.getlist(key) for key in request.query_params}

    def here(**changes: Any) -> str:
        return address(request.url.path, query, **changes)

    about = {"path": request.url.path, "here": here, "is_live": is_live, "dagster": site.dagster}
    text = environment().get_template(template).render(**about, **values)
    return Answer(text.encode(), HTML, {"Content-Security-Policy": POLICY})


def error_page(status: int, text: str, retry_after: str | None = None) -> str:
    """What a browser shows of a request that cannot be answered. With `retry_after` (seconds) the page asks again."""
    about = {"path": "", "here": None, "is_live": False, "dagster": None, "status": int(status), "text": text}
    template = environment().get_template("error.html")
    return template.render(**about, lacks=retry_after is not None, retry_after=retry_after)
