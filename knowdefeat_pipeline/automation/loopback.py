"""Where the pages, Dagster's UI and the code server may listen: on this machine alone by default, as they ask nobody
who they are."""

from __future__ import annotations

import ipaddress
import socket

from knowdefeat_pipeline.errors import KnowDefeatError


class NotLoopback(KnowDefeatError):
    """An address that other machines reach, or none at all; the message says what to do instead."""

    page = "security.md#the-guard"


def require_loopback(host: str, trusted: bool = False) -> None:
    """Raise NotLoopback unless every address of the host's name is one of this machine alone.

    `trusted`: another one will do, as whoever starts the program vouches for who reaches it.
    """
    try:
        found = {address[0] for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise NotLoopback(f"Cannot listen on {host}: {error.strerror}") from error
    if not trusted and not all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found):
        raise NotLoopback(
            f"{host} is no loopback address. Whoever reaches the Dagster UI or the code server can start and delete "
            "runs, so they listen on this machine alone. From another one use ssh -L, or a proxy that asks for a login "
            "over TLS, and let its name in with --allow-host NAME. In a network that only such a proxy reaches (a code "
            "server: only the daemon and the UI): knowdefeat serve with --trusted-network."
        )
