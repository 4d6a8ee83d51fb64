"""What is decided about bots over HTTP, by the API and by the forms of pages: one rule for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import psycopg

from knowdefeat_pipeline.store import funds
from knowdefeat_pipeline.store.bots import BotError, bot_keys
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

MOST_OF_A_REASON = 1000  # characters


def resume(connection: psycopg.Connection, bot: str, author: str, reason: str) -> None:
    """Let a halted bot go on. Raises BotError where it is not there, Problem (409) where it is not halted."""
    bot_keys(connection, [bot])
    try:
        funds.resume(connection, [bot], author, reason)
    except BotError as error:  # it is there, so that it is not halted
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error


def decide(site: Site, author: str, bots: Sequence[str], form: Mapping[str, str]) -> None:
    """Do what a form decides about bots, all of them or none: its `decision` (activate, deactivate; resume, of one) and
    its `reason`. Raises Problem and BotError."""
    decision, reason = form.get("decision"), form.get("reason", "").strip()[:MOST_OF_A_REASON]
    if decision not in ("activate", "deactivate", "resume"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Say what is decided: activate, deactivate or resume.")
    if not bots:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Choose the bots first.")
    if not reason:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Say why: the reason is kept.")
    with site.connection() as connection:
        if decision != "resume":
            funds.set_active(connection, bots, decision == "activate", author, reason)
        elif len(bots) == 1:
            resume(connection, bots[0], author, reason)
        else:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Bots are resumed one by one, each on its page.")
