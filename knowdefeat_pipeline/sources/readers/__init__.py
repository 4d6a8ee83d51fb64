"""One module per kind of file: bytes in, a raw table out. What its columns mean is not known here."""
