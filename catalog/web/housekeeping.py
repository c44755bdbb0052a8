"""What the service does by itself: publish what others changed by plain SQL, and what is new in the registry."""

from __future__ import annotations

import logging
import time

import anyio
from starlette.concurrency import run_in_threadpool

from catalog.web.responses import as_fault
from catalog.wiring import Catalog

__all__ = ["keep_house", "keep_registry"]

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


async def keep_registry(catalog: Catalog) -> None:
    """Publish the records of the registry as the service starts, and again and again; why it fails is logged once."""
    pause = catalog.settings.registry.refresh_s
    told = None
    while True:
        began = time.monotonic()
        try:
            await run_in_threadpool(catalog.registry.publish)
        except Exception as error:
            message = as_fault(error).message
            if message != told:
                _LOG.warning("the registry stays as it is: %s", message)
            told = message
        else:
            told = None
        await anyio.sleep(max(pause, _SHARE * (time.monotonic() - began)))
