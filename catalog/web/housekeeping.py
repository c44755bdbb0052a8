"""What the service does by itself, every few seconds: publish what others changed by plain SQL."""

from __future__ import annotations

import logging
import time

import anyio
from starlette.concurrency import run_in_threadpool

from catalog.web.responses import as_fault
from catalog.wiring import Catalog

__all__ = ["keep_house"]

_LOG = logging.getLogger(__name__)
_SHARE = 9  # at most a tenth of the time is spent on it, however long one round takes


async def keep_house(catalog: Catalog) -> None:
    """Work off the queue of changed packages, again and again; a failure is tried again, and logged once."""
    pause = catalog.settings.service.housekeeping_s
    failing = False
    while True:
        await anyio.sleep(pause)
        began = time.monotonic()
        try:
            await run_in_threadpool(catalog.refresh)
        except Exception as error:
            if not failing:
                _LOG.warning("changes by others are not published for now: %s", as_fault(error).message)
            failing = True
        else:
            if failing:
                _LOG.warning("changes by others are published again")
            failing = False
        pause = max(catalog.settings.service.housekeeping_s, _SHARE * (time.monotonic() - began))
