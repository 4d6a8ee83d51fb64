"""All faults of the matrix, and what the message about each must say to do."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults import of_the_clients, of_the_server
from tests.faults.matrix import Outcome


class Fault(NamedTuple):
    """`inject` is given the home of a computed fleet. `remedy`: words that the message contains where there is one."""

    inject: Callable[[Path], Outcome]
    remedy: tuple[str, ...] = ()
    in_ci: bool = True  # the others are injected on demand
    is_told: bool = True  # whether a run fails, and its user is told; None of a message otherwise


AGAIN = "run the command again"

FAULTS = (
    Fault(of_the_server.disk_of_tables_full, ("disk", "free space", AGAIN)),
    Fault(of_the_server.disk_of_the_log_full, ("disk", "free space", AGAIN), in_ci=False),
    Fault(of_the_server.connections_exhausted, ("end sessions", "raise max_connections", AGAIN)),
    Fault(of_the_server.connections_exhausted_by_url, ("end sessions", "raise max_connections", AGAIN)),
    Fault(of_the_server.statement_timeout, ("SET statement_timeout = 0", AGAIN)),
    Fault(of_the_server.lock_timeout, ("SET lock_timeout = 0", AGAIN), in_ci=False),
    Fault(of_the_server.idle_in_transaction_timeout, ("SET idle_in_transaction_session_timeout = 0", AGAIN)),
    Fault(of_the_server.idle_session_timeout, ("SET idle_session_timeout = 0", AGAIN), is_told=False),
    Fault(of_the_clients.long_transaction, is_told=False),
    Fault(of_the_clients.clock_behind, is_told=False),
    Fault(of_the_clients.clock_ahead, is_told=False),
    Fault(of_the_clients.lost_before_writing, (AGAIN,)),
    Fault(of_the_clients.lost_while_copying, (AGAIN,)),
    Fault(of_the_clients.lost_before_the_commit, (AGAIN,)),
    Fault(of_the_clients.run_killed, in_ci=False, is_told=False),
)
