"""`dev`: everything on this machine, with the Dagster UI, until Ctrl-C."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from import_pipeline.cli.console import say
from import_pipeline.cli.options import DEFAULT_WORKSPACE
from import_pipeline.settings import Settings

SAMPLES_FOLDER = "samples"


def dev(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the UI; 0: a free one. Default: 3000.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of the local services. Default: .import_pipeline", file_okay=False),
    ] = None,
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="Do not copy the sample files in.")
    ] = False,
) -> None:
    """Start PostgreSQL, an S3 emulator, the Dagster UI and the sensor; Ctrl-C stops all of it.

    Services that are set by environment variables are used instead of local ones. On the first
    start the sample files are dropped into the local bucket.
    """
    from import_pipeline.local_pipeline import choose_ui_port, start_pipeline
    from import_pipeline.services.supervisor import StopAsked, stop_on_signals
    from import_pipeline.settings import load_settings

    settings = load_settings()
    if home is not None:
        settings = settings.model_copy(update={"home": home})
    ui_port = choose_ui_port(port, settings)
    try:
        with (
            stop_on_signals(),
            start_pipeline(settings, ui_port=ui_port, say=lambda text: say(escape(text))) as pipeline,
        ):
            _say_where(pipeline.settings, pipeline.url, other_home=home)
            wanted = not no_samples and pipeline.settings.is_local_aws and pipeline.settings.is_local
            pipeline.watch(_sample_dropper(pipeline.settings) if wanted else lambda: False)
    except StopAsked as asked:
        say("Stopped.")
        raise typer.Exit(asked.exit_code) from asked


def _say_where(settings: Settings, url: str, *, other_home: Path | None) -> None:
    bucket, key = settings.bucket, settings.aws_access_key_id
    secret = settings.aws_secret_access_key
    say(f"\n[bold green]The pipeline is up.[/]  Dagster: [bold]{url}[/]\n")
    if other_home is not None:
        say(f"For other commands:  export IMPORT_PIPELINE_HOME={settings.home.absolute()}")
    say(f"Drop files into  s3://{bucket}/uploads/<workspace>/<dataset>/")
    say(f"  import-pipeline upload FILE --dataset leads --workspace {DEFAULT_WORKSPACE}")
    if settings.is_local_aws and secret is not None:
        say("or with any S3 client:")
        say(f"  export AWS_ENDPOINT_URL={settings.aws_endpoint_url} AWS_REGION={settings.aws_region}")
        say(f"  export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret.get_secret_value()}")
    say(f"  aws s3 cp FILE s3://{bucket}/uploads/{DEFAULT_WORKSPACE}/leads/")
    if settings.is_local:
        say(f"The rows are in  psql '{settings.require_database_url()}'")
    say("\nCtrl-C stops all of it.\n")


def _sample_dropper(settings: Settings) -> Callable[[], bool]:
    """Drops the samples, each once in the life of this home folder; never says that it is time to stop.

    A sample that needs the rows of another waits until that one is imported.
    """
    from import_pipeline.cli.connecting import open_bucket, open_ledger
    from import_pipeline.flow.arrivals.options import Statement
    from import_pipeline.ledger.queries import find_uploads
    from import_pipeline.samples.all_samples import SAMPLES
    from import_pipeline.sending import send_file

    folder = settings.home.absolute() / SAMPLES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    bucket = open_bucket(settings)
    # A file in the folder was dropped before: that is how the first start is known.
    ahead = [sample for sample in SAMPLES if not (folder / sample.file_name).exists()]
    if ahead:
        say(f"Dropping {len(ahead)} sample files; copies are in {folder}.")

    def is_imported(file_name: str) -> bool:
        with open_ledger(settings) as conn:
            return any(row.published_at is not None for row in find_uploads(conn, file_name))

    def drop() -> bool:
        for sample in list(ahead):
            if not sample.after or is_imported(sample.after):
                path = sample.write(folder)
                send_file(
                    bucket,
                    path,
                    dataset=sample.dataset,
                    workspace=sample.workspace,
                    statement=Statement(sample.options),
                )
                ahead.remove(sample)
        return False

    return drop
