"""``python -m export list``."""

from export.commands._app import app, out


@app.command("list")
def list_all() -> None:
    """List the catalogue's entries and the backends with their availability.

    Example: scriptable list
    """
    from export.report.terminal import backend_table, catalogue_table

    out.print(catalogue_table())
    out.print(backend_table())
