"""By which bytes files of a kind begin."""

GZIP, SQLITE, ZIP = b"\x1f\x8b", b"SQLite format 3\0", b"PK\x03\x04"
