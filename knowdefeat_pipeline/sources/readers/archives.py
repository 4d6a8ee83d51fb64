"""Archives: the files in a ZIP, one after the other, and what was gzipped; what unpacks to far too much is refused."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator

from knowdefeat_pipeline.sources.layout import SourceError

LARGEST = 2**30
"""Bytes that a file may unpack to."""
SMALL, MOST_PACKED = 2**26, 100
"""What unpacks to more than so many bytes, and so many times its own size, is no table but a trap."""
MEMBERS = 100
"""Files that are looked at in an archive."""
CHUNK = 2**20


def unzip(data: bytes) -> bytes:
    """What was gzipped. Raises SourceError for what is damaged or unpacks to too much."""
    packed, found = io.BytesIO(data), bytearray()
    try:
        with gzip.open(packed) as file:
            while chunk := file.read(CHUNK):
                found += chunk
                _check(len(found), packed.tell())
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"the gzip file is cut short or damaged ({error}); fetch it again") from error
    return bytes(found)


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in a ZIP. Raises SourceError for what is damaged or unpacks to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [member for member in archive.infolist() if not member.is_dir()]
            if len(files) > MEMBERS:
                raise SourceError(f"this is a zip archive of {len(files):,} files; unpack it, and name some")
            require_modest(archive, len(data))
            for member in files:
                yield member.filename, archive.read(member)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"the zip archive is cut short, damaged or locked ({error}); unpack it yourself") from error


def require_modest(archive: zipfile.ZipFile, packed: int) -> None:
    """Raises SourceError where a file in a ZIP of `packed` bytes, or all of them together, unpack to too much.

    No more than a file in it says of its size is ever read of it.
    """
    sizes = [(member.file_size, member.compress_size) for member in archive.infolist()]
    for size, of in [*sizes, (sum(size for size, _ in sizes), packed)]:
        _check(size, of)


def _check(size: int, packed: int) -> None:
    """Raises SourceError where so many packed bytes are so many unpacked."""
    if size > LARGEST or (size > SMALL and size > MOST_PACKED * packed):
        raise SourceError(
            f"{packed:,} packed bytes unpack to {size:,} or more, as those of no export do; if it is one, unpack it"
        )
