"""All faults of the matrix, and what the message about each must say to do."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults import of_the_clients, of_the_processes, of_the_server, of_the_versions
from tests.faults.matrix import Outcome


class Fault(NamedTuple):
    """`inject` is given the home of a computed fleet. `remedy`: words that the message contains where there is one."""

    inject: Callable[[Path], Outcome]
    remedy: tuple[str, ...] = ()
    in_ci: bool = True  # the others are injected on demand
    is_told: bool = True  # whether a command fails, and its user is told

    @property
    def name(self) -> str:
        """That of the function, with its arguments."""
        function, arguments = getattr(self.inject, "func", self.inject), getattr(self.inject, "args", ())
        return "_".join((function.__name__, *arguments))

    def shortcomings(self, outcome: Outcome) -> list[str]:
        """What did not come out as it must."""
        told = outcome.message.lower()
        lacking = [word for word in self.remedy if told and word.lower() not in told]
        found = {
            f"{outcome.lost} trades lost": outcome.lost,
            f"{outcome.doubled} trades doubled": outcome.doubled,
            f"other than a clean recomputation: {', '.join(outcome.differing)}": outcome.differing,
            "no message": self.is_told and not told,
            "a message for which no remedy is known": told and not self.remedy,
            f"a message without {lacking}: {outcome.message}": lacking,
        }
        return [what for what, is_so in found.items() if is_so]


AGAIN = "run the command again"

FAULTS = (
    Fault(of_the_server.disk_of_tables_full, ("disk", "free space", AGAIN)),
    Fault(of_the_server.disk_of_the_log_full, ("disk", "free space", AGAIN), in_ci=False),
    Fault(of_the_server.connections_exhausted, ("end sessions", "raise max_connections", AGAIN)),
    Fault(of_the_server.connections_exhausted_by_url, ("end sessions", "raise max_connections", AGAIN)),
    Fault(of_the_server.listener_on_a_full_disk, ("disk", "free space"), in_ci=False),
    Fault(of_the_server.listener_without_connections, ("end sessions", "raise max_connections"), in_ci=False),
    Fault(of_the_server.statement_timeout, ("SET statement_timeout = 0", AGAIN)),
    Fault(of_the_server.lock_timeout, ("SET lock_timeout = 0", AGAIN), in_ci=False),
    Fault(
        of_the_server.idle_in_transaction_timeout, ("SET idle_in_transaction_session_timeout = 0", AGAIN), in_ci=False
    ),
    Fault(of_the_server.idle_session_timeout, ("SET idle_session_timeout = 0", AGAIN), is_told=False, in_ci=False),
    Fault(of_the_clients.long_transaction, is_told=False),
    Fault(of_the_clients.clock_behind, is_told=False, in_ci=False),
    Fault(of_the_clients.clock_ahead, is_told=False),
    Fault(of_the_clients.lost_before_writing, (AGAIN,), in_ci=False),
    Fault(of_the_clients.lost_while_copying, (AGAIN,)),
    Fault(of_the_clients.lost_before_the_commit, (AGAIN,)),
    Fault(of_the_clients.pooler_killed, ("Start it again", "knowdefeat doctor"), in_ci=False),
    Fault(of_the_processes.run_killed_before_writing, in_ci=False, is_told=False),
    Fault(of_the_processes.run_killed_before_the_commit, is_told=False),
    Fault(of_the_processes.run_killed_between_steps, in_ci=False, is_told=False),
    Fault(of_the_processes.run_stopped, in_ci=False, is_told=False),
    Fault(of_the_processes.run_stopped_for_long, (AGAIN,)),
    Fault(of_the_processes.listener_killed_while_it_waits, in_ci=False, is_told=False),
    Fault(of_the_processes.listener_killed_in_a_batch, is_told=False),
    Fault(of_the_processes.listener_stopped, in_ci=False, is_told=False),
    Fault(of_the_processes.server_killed_in_a_run, ("Start it again", "knowdefeat doctor")),
    Fault(of_the_processes.server_killed_under_the_listener, in_ci=False, is_told=False),
    Fault(of_the_processes.backup_killed, in_ci=False, is_told=False),
    Fault(of_the_processes.restore_killed_while_it_fills, in_ci=False, is_told=False),
    Fault(of_the_processes.restore_killed_before_the_commit, in_ci=False, is_told=False),
    Fault(of_the_processes.migrate_killed, in_ci=False, is_told=False),
    Fault(of_the_processes.server_restarted_under_up, in_ci=False, is_told=False),
    Fault(of_the_processes.up_terminated_in_a_run, in_ci=False, is_told=False),
    Fault(of_the_processes.pages_killed, ("Started again: ",), in_ci=False),
    Fault(of_the_processes.daemon_killed, ("Started again: ",), in_ci=False),
    Fault(of_the_processes.webserver_killed, ("Started again: ",), in_ci=False),
    Fault(of_the_processes.listener_killed_under_up, ("Started again: ",), in_ci=False),
    *(Fault(inject, in_ci=False, is_told=False) for inject in (*of_the_versions.UPGRADES, *of_the_versions.RESTORES)),
)
