"""What may be said of a file whose content does not say it: the words of options and queries."""

from typing import Literal

Dates = Literal["day-first", "month-first"]
Decimal = Literal["point", "comma"]
Size = Literal["notional", "quantity", "margin"]
Sign = Literal["cost", "signed"]
Side = Literal["position", "closing"]
Contract = Literal["linear", "inverse"]
Basis = Literal["computed", "stated"]
