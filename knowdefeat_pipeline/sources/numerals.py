"""Numbers as people write them: decimal point or comma, thousands, signs of currencies, units, negatives in brackets.

One notation reads a whole column: `1,234` is 1234 where the point is decimal, 1.234 where the comma is.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources.options import Decimal
from knowdefeat_pipeline.sources.units import NO_UNITS

PLAIN = r"^[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"
"""Numbers as programs write them."""
EITHER = r"^\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*$"
"""Plain numbers whose point may separate thousands."""
WRITTEN = (
    r"^(?P<open>\()? ?(?P<sign>[+-])? ?(?P<before>[A-Za-z]{0,3}\p{Sc}|[A-Z]{3,5} )? ?(?P<inner>[+-])? ?"
    r"(?P<number>[\d.,' ]*\d[.,]?(?:[eE][+-]?\d+)?)"
    r" ?(?P<after>%|\p{Sc}|[A-Za-z]{2}[A-Za-z0-9]{0,8})? ?(?P<minus>-)? ?(?P<close>\))?$"
)
BARE = r"^[+-]?[\d.,' ]*\d[.,]?$"
_WHOLE = r"\d+|[1-9]\d{0,2}( \d{3})+|[1-9]\d{0,2}('\d{3})+"
NOTATIONS: dict[Decimal, str] = {
    "point": rf"^({_WHOLE}|[1-9]\d{{0,2}}(,\d{{3}})+|[1-9]\d?(,\d\d)+,\d{{3}})?(\.\d*)?([eE][+-]?\d+)?$",
    "comma": rf"^({_WHOLE}|[1-9]\d{{0,2}}(\.\d{{3}})+)?(,\d*)?([eE][+-]?\d+)?$",
}


@dataclass(frozen=True)
class Numerals:
    """`values`: NaN where a cell holds no number. `percent`: which cells are percentages, already divided by 100.
    `unit`: the currency or unit that a cell names, empty where none."""

    values: pd.Series
    readable: Bools
    percent: Bools
    unit: pd.Series


@dataclass(frozen=True)
class Evidence:
    """What the cells of a column say about their notation: how many fit one alone, and the first that fits both but
    is another number in each. `plain`: every cell is as programs write it."""

    point: int
    comma: int
    either: str | None
    plain: bool

    @property
    def proves(self) -> Decimal | None:
        """The notation that alone explains the column; where cells contradict one another and none hangs on the
        answer, the one that reads more of them."""
        if self.point and not self.comma:
            return "point"
        if self.comma and not self.point:
            return "comma"
        if self.either or self.point == self.comma:
            return None
        return "point" if self.point > self.comma else "comma"


def read(text: pa.ChunkedArray, decimal: Decimal) -> Numerals:
    """Cells of large text, trimmed, in one notation; what computers write, such as 1e-8, nan and inf, is read too."""
    parts = _parts(text)
    number = pc.struct_field(parts, "number")
    fits = pc.and_(pc.match_substring_regex(number, NOTATIONS[decimal]), _one_sign(parts))
    special = pc.match_substring_regex(text, r"(?i)^[+-]?(nan|inf|infinity)$")
    ours = pc.if_else(fits, _plain(number, decimal), pa.scalar(None, number.type))
    values = pc.if_else(special, text, ours).cast(pa.float64()).to_numpy()
    negative = np.any([_is(parts, name, mark) for name, mark in _NEGATIVE], axis=0)
    percent = _is(parts, "after", "%")
    values = np.where(negative, -values, values) / np.where(percent, 100.0, 1.0)
    before = pc.utf8_trim_whitespace(_part(parts, "before"))
    unit = pc.if_else(pc.equal(before, ""), _part(parts, "after"), before)
    unit = pc.if_else(pc.equal(unit, "%"), pa.scalar("", unit.type), unit)
    return Numerals(pd.Series(values), _mask(pc.or_kleene(fits, special)), percent, unit.to_pandas().astype("str"))


_NEGATIVE = (("open", "("), ("sign", "-"), ("inner", "-"), ("minus", "-"))


def weigh_plain(text: pa.ChunkedArray) -> Evidence:
    """What a column says about its notation whose cells are all as programs write them."""
    dotted = int(pc.sum(pc.match_substring(text, ".")).as_py() or 0)
    either = text.filter(pc.fill_null(pc.match_substring_regex(text, EITHER), False)) if dotted else text[:0]
    return Evidence(dotted - len(either), 0, either[0].as_py() if len(either) else None, plain=True)


def weigh(text: pa.ChunkedArray) -> Evidence:
    """What a column of large text, trimmed, says about its notation."""
    number = pc.struct_field(_parts(text), "number")
    marked = pc.match_substring_regex(number, "[.,]")
    point, comma = (pc.and_(marked, pc.match_substring_regex(number, NOTATIONS[name])) for name in NOTATIONS)
    both = pc.and_(point, comma)
    first = text.filter(pc.fill_null(both, False))
    point_alone, comma_alone = (int(pc.sum(pc.and_not(one, both)).as_py() or 0) for one in (point, comma))
    return Evidence(point_alone, comma_alone, first[0].as_py() if len(first) else None, plain=False)


def units(text: pa.ChunkedArray) -> list[str]:
    """The units that cells name."""
    if _is_bare(text):
        return []
    return [unit for unit in read(text, "point").unit.unique() if isinstance(unit, str) and unit]


def _parts(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """The parts of numbers (see `WRITTEN`), null for other cells. All blanks are one, and so are all minus signs."""
    if _is_bare(text):
        return _parts_of_bare(text)
    text = pc.replace_substring_regex(text, r"[\x{a0}\x{2009}\x{202f}\s]", " ")
    text = pc.replace_substring_regex(pc.replace_substring_regex(text, "[−–]", "-"), "[’`]", "'")
    parts = pc.extract_regex(text, WRITTEN)
    after = pc.utf8_upper(pc.struct_field(parts, "after"))
    forbidden = pc.is_in(after, pa.array(sorted(NO_UNITS), after.type))
    return pc.if_else(pc.fill_null(forbidden, False), pa.scalar(None, parts.type), parts)


def _is_bare(text: pa.ChunkedArray) -> bool:
    """Whether every cell is digits and separators with a sign before them at most: then no parts are to be told."""
    return pc.all(pc.match_substring_regex(text, BARE)).as_py() is not False


def _parts_of_bare(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """What `_parts` gives, several times as fast."""
    text = text.combine_chunks()
    nothing = pa.repeat(pa.scalar("", text.type), len(text))
    parts = dict.fromkeys(re.findall(r"\?P<(\w+)>", WRITTEN), nothing)
    parts["sign"] = pc.fill_null(pc.if_else(pc.starts_with(text, "-"), pa.scalar("-", text.type), nothing), "")
    parts["number"] = pc.utf8_ltrim(text, "+-")
    return pa.chunked_array([pa.StructArray.from_arrays([*parts.values()], [*parts], mask=pc.is_null(text))])


def _part(parts: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.struct_field(parts, name), "")


def _is(parts: pa.ChunkedArray, name: str, mark: str) -> Bools:
    return _mask(pc.equal(pc.struct_field(parts, name), mark))


def _one_sign(parts: pa.ChunkedArray) -> pa.Array:
    """Which cells are negative or positive in one way only, with both brackets or none, and name one unit."""
    signs = sum(_mask(pc.not_equal(pc.struct_field(parts, name), "")).astype(int) for name, _ in _NEGATIVE)
    brackets = _is(parts, "open", "(") == _is(parts, "close", ")")
    before, after = (_mask(pc.not_equal(pc.struct_field(parts, name), "")) for name in ("before", "after"))
    return pa.array((signs <= 1) & brackets & ~(before & after))


def _plain(number: pa.ChunkedArray, decimal: Decimal) -> pa.ChunkedArray:
    grouping = "[, ']" if decimal == "point" else "[. ']"
    digits = pc.replace_substring_regex(number, grouping, "")
    return pc.replace_substring(digits, ",", ".")


def _mask(flags: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=bool)
