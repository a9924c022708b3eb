"""`migrate`: the ledger's and the datasets' tables brought up to the code."""

from import_pipeline.cli.console import print_json, say
from import_pipeline.cli.options import JsonOption


def migrate(as_json: JsonOption = False) -> None:
    """Create or bring up the ledger's and the datasets' tables; doing it again does nothing.

    Uses IMPORT_PIPELINE_OWNER_DATABASE_URL if it is set. Safe beside running imports.
    """
    from import_pipeline.catalog.discovery import load_datasets
    from import_pipeline.ledger.grants import loader_role
    from import_pipeline.ledger.migrate import migrate as bring_up
    from import_pipeline.settings import load_settings

    settings = load_settings()
    done = bring_up(
        settings.require_owner_database_url(),
        load_datasets(settings.datasets),
        loader=loader_role(settings),
    )
    if as_json:
        print_json({"done": done})
        return
    for sentence in done:
        say(sentence)
    if not done:
        say("Nothing to do: ledger and tables are up to date.")
