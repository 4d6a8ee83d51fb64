"""Numbers in sentences."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and what it counts; `plural`: where that is not the noun with an s.

    >>> counted(1, "trade"), counted(1200, "trade"), counted(2, "day has", "days have")
    ('1 trade', '1,200 trades', '2 days have')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
