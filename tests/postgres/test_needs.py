"""What computing needs of a database, asked of a real pooler and of a server."""

from pathlib import Path

import pytest

from knowdefeat_pipeline.postgres.needs import NeedsUnmet, require_needs
from tests.postgres.poolers import needs_pooler, pooler


@needs_pooler
def test_a_pooler_that_shares_sessions_is_refused_and_another_one_is_not(database: str, tmp_path: Path) -> None:
    with pooler(database, tmp_path, "transaction") as url:
        for _ in range(5):
            with pytest.raises(NeedsUnmet, match=r"pooler in transaction mode.*in session mode\."):
                require_needs(url)
    with pooler(database, tmp_path, "session") as url:
        require_needs(url)


def test_a_server_itself_meets_them(database: str) -> None:
    require_needs(database)
