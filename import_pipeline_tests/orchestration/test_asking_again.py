"""What a tick asks of Dagster again, and what not: runs that came to nothing, reports that are missing."""

from dagster import SensorResult

from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.outcomes import record_cancelled
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\n"


def test_an_upload_that_is_cancelled_while_the_sensor_submits_its_run_stays_cancelled(world: World) -> None:
    """Dagster submits the runs of a tick one after the other; the cancellation was forgotten."""
    world.put(KEY, LEADS)
    result = world.evaluate()
    assert isinstance(result, SensorResult)
    upload_id = world.upload(KEY)["upload_id"]
    with connect(world.settings.require_database_url()) as conn:
        record_cancelled(conn, upload_id)
    for added in result.dynamic_partitions_requests or []:
        world.instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
    (request,) = result.run_requests or []

    assert not world.run(request)
    assert world.upload(KEY)["state"] == "cancelled"
    assert world.launch(upload_id), "a person may"
