"""The `import-pipeline` command: its groups of commands, and how errors reach people.

What a user can mend is shown as a message and a remedy, never as a traceback.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from import_pipeline.cli import (
    bucket,
    catalog,
    checking,
    demo,
    doctor,
    looking,
    migrating,
    readers,
    reconciling,
    sending,
    serving,
    steering,
    templating,
    undoing,
)
from import_pipeline.cli.console import say, show_error
from import_pipeline.cli.exit_codes import INTERRUPTED, REFUSED, TROUBLE
from import_pipeline.errors import ImportPipelineError, PermanentImportError


class PeopleFirst(TyperGroup):
    """Runs a command; errors raised on purpose and Ctrl-C end it without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command named on the line."""
        try:
            return super().invoke(ctx)
        except ImportPipelineError as error:
            show_error(error)
            raise typer.Exit(REFUSED if isinstance(error, PermanentImportError) else TROUBLE) from error
        except KeyboardInterrupt as error:
            say("Stopped.")
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    name="import-pipeline",
    cls=PeopleFirst,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Files dropped into an S3 bucket end up, checked and complete, in PostgreSQL.",
    epilog="Settings are environment variables; .env.example lists each. Start with `import-pipeline demo`.",
)

START, FILES, LOOK, RUN = "Start", "Files", "Look", "Run"
app.command("demo", rich_help_panel=START)(demo.demo)
app.command("dev", rich_help_panel=START)(serving.dev)
app.command("check", rich_help_panel=FILES)(checking.check)
app.command("upload", rich_help_panel=FILES)(sending.upload)
app.command("import", rich_help_panel=FILES)(sending.import_file)
app.command("template", rich_help_panel=FILES)(templating.template)
app.command("status", rich_help_panel=LOOK)(looking.status)
app.command("history", rich_help_panel=LOOK)(looking.history)
app.command("report", rich_help_panel=LOOK)(looking.report)
app.command("datasets", rich_help_panel=LOOK)(catalog.datasets)
app.command("cancel", rich_help_panel=RUN)(steering.cancel)
app.command("retry", rich_help_panel=RUN)(steering.retry)
app.command("undo", rich_help_panel=RUN)(undoing.undo)
app.command("reimport", rich_help_panel=RUN)(undoing.reimport)
app.command("reconcile", rich_help_panel=RUN)(reconciling.reconcile)
app.add_typer(bucket.app, name="bucket", rich_help_panel=RUN)
app.command("doctor", rich_help_panel=RUN)(doctor.doctor)
app.command("migrate", rich_help_panel=RUN)(migrating.migrate)
app.add_typer(readers.app, name="readers", rich_help_panel=RUN)


def main() -> None:
    """Entry point of the `import-pipeline` script."""
    app()
