"""Archives: the files in a ZIP, one after the other, and what was gzipped; what unpacks to far too much is refused."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from knowdefeat_pipeline.sources.layout import SourceError

LARGEST = 2**30
"""Bytes that a file may unpack to."""
SMALL, MOST_PACKED = 2**26, 200
"""What unpacks to more than so many bytes and so many times its own size is no table but a trap."""
MEMBERS = 100
"""Files that are looked at in an archive."""
CHUNK = 2**20


def unzip(data: bytes) -> bytes:
    """What was gzipped. Raises SourceError for what is damaged or unpacks to too much."""
    try:
        with gzip.open(io.BytesIO(data)) as file:
            return _read(file, len(data))
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"the gzip file is cut short or damaged ({error}); fetch it again") from error


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in a ZIP. Raises SourceError for what is damaged or unpacks to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [member for member in archive.infolist() if not member.is_dir()]
            if len(files) > MEMBERS:
                raise SourceError(f"this is a zip archive of {len(files):,} files; unpack it, and name some")
            for member in files:
                with archive.open(member) as file:
                    yield member.filename, _read(file, max(member.compress_size, 1))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"the zip archive is cut short, damaged or locked ({error}); unpack it yourself") from error


def _read(file: IO[bytes] | gzip.GzipFile, packed: int) -> bytes:
    most = min(LARGEST, max(SMALL, packed * MOST_PACKED))
    found = bytearray()
    while chunk := file.read(CHUNK):
        found += chunk
        if len(found) > most:
            raise SourceError(
                f"{packed:,} packed bytes unpack to more than {most:,}, as no export does; unpack it, if it is one"
            )
    return bytes(found)
