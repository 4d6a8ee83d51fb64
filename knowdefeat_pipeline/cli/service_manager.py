"""What a service manager is told of a program's state, by the protocol of systemd's sd_notify(3)."""

from __future__ import annotations

import os
import socket

READY, STOPPING = "READY=1", "STOPPING=1"
SOCKET = "NOTIFY_SOCKET"  # the variable that names where to tell it


def notify(state: str) -> None:
    """Tell the service manager that started this process, if it wants to know."""
    address = os.environ.get(SOCKET)
    if not address:
        return
    if address.startswith("@"):  # a name of Linux' abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall(state.encode())
