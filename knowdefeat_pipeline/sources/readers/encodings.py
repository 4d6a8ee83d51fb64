"""Text of any encoding as UTF-8."""

import codecs

from charset_normalizer import from_bytes

from knowdefeat_pipeline.sources.layout import SourceError

NEWLINE = b"\n"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
WESTERN = "cp1252"
OTHERS = ("cp1250", "cp1251", "cp932", "gb18030", "big5", "cp949")
"""Encodings beside the western one that spreadsheets still write."""
SAMPLE = 100_000
"""How many bytes tell the encoding."""


def as_utf8(data: bytes) -> tuple[bytes, str, tuple[str, ...]]:
    """The text as UTF-8 without a byte order mark, what it was encoded in, and notes for the user.

    Raises SourceError for bytes that are no text.
    """
    for mark, codec, name in MARKS:
        if data.startswith(mark):
            return _decoded(data, codec, name), name, ()
    unmarked = _unmarked_utf16(data)
    if unmarked is not None:
        return _decoded(data, unmarked, "UTF-16"), "UTF-16 without a byte order mark", ()
    if b"\0" in data:
        raise SourceError(f"{_place(data, data.index(0))}: a NUL byte, so this is not text; save the file as UTF-8")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _from_legacy(data, error)
    return data, "UTF-8", ()


def whole_lines(text: bytes) -> bytes:
    """The text without a last line that has no end yet.

    >>> whole_lines(b"id,price\\n1,10\\n2,1")
    b'id,price\\n1,10\\n'
    """
    return text[: text.rfind(NEWLINE) + 1]


def _unmarked_utf16(data: bytes) -> str | None:
    """The order of bytes of text in which nearly every second one is NUL, as of western text in UTF-16."""
    head = data[:1000]
    if len(head) >= 20 and len(data) % 2 == 0:
        for codec, nul, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
            if nul.count(0) > 0.9 * len(nul) and not letters.count(0):
                return codec
    return None


def _decoded(data: bytes, codec: str, name: str) -> bytes:
    """A character that is cut in two at the end is left out: the row that it stands in is cut short, too."""
    try:
        text = codecs.getincrementaldecoder(codec)().decode(data)
    except UnicodeDecodeError as error:
        raise SourceError(f"{_place(data, error.start)}: the text is not {name}; save the file as UTF-8") from error
    if "\0" in text:
        raise SourceError(f"row {text[: text.index(chr(0))].count(chr(10))}: a NUL character; save the file as UTF-8")
    return text.encode("utf-8")


def _from_legacy(data: bytes, error: UnicodeDecodeError) -> tuple[bytes, str, tuple[str, ...]]:
    """Text of an older encoding, unless it is UTF-8 that was damaged."""
    if error.start >= len(data) - 3 and error.reason == "unexpected end of data":
        return data[: error.start], "UTF-8", ()
    if not data.decode("utf-8", "ignore").isascii():
        raise SourceError(f"{_place(data, error.start)}: the text is not UTF-8; save the file as UTF-8") from error
    codec = _likely(data[max(0, error.start - SAMPLE // 2) : error.start + SAMPLE // 2])
    text = data.decode(codec, "replace" if codec == WESTERN else "strict")
    name = "Latin-1 (Windows-1252)" if codec == WESTERN else codec
    note = f"the text is not UTF-8 and is read as {name}: look whether names and other texts are right"
    return text.encode("utf-8"), name, (note,)


def _likely(sample: bytes) -> str:
    """The western encoding, unless another one explains more than single letters."""
    foreign = sum(byte > 127 for byte in sample)
    best = from_bytes(sample, cp_isolation=[WESTERN, *OTHERS]).best() if foreign >= 8 else None
    return WESTERN if best is None or str(best) == sample.decode(WESTERN, "replace") else best.encoding


def _place(data: bytes, offset: int) -> str:
    return f"row {data.count(NEWLINE, 0, offset)}, byte offset {offset}"
