"""``catalog serve``: serve TAP and the pages over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.terminal.messages import say
from catalog.terminal.opening import Db, settings_for
from catalog.web.server import listen, run
from catalog.web.workers import run_workers
from catalog.wiring import Catalog

__all__ = ["app"]

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen at; 0 for any free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; service.workers of the settings otherwise.")
    ] = None,
    db: Db = None,
) -> None:
    """Serve TAP and the pages over HTTP."""
    settings = settings_for(db).with_service(host=host, port=port, workers=workers)
    with listen(settings.service.host, settings.service.port) as listener:
        settings = settings.with_service(port=listener.getsockname()[1])
        with Catalog(settings) as catalog:
            catalog.check_ready()
            catalog.check_jobs()
            catalog.announce()
            say(f"serving {settings.service.url}/ (TAP at {settings.service.url}/tap); Ctrl-C stops it")
            for caution in settings.cautions:
                say(caution)
            if settings.service.workers == 1:
                run(catalog, listener)
                return
        run_workers(settings, listener, settings.service.workers)
