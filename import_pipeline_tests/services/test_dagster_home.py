import pytest
import yaml
from dagster import DagsterInstance, job, op  # noqa: TID251 - the file is Dagster's
from dagster._core.instance.config import dagster_instance_config  # noqa: TID251

from import_pipeline.orchestration import tags
from import_pipeline.services.dagster_home import prepare_dagster_home


@op
def one():
    return 1


@job
def a_job():
    one()


@pytest.fixture
def instance(tmp_path, dagster_url, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_DAGSTER_DATABASE_URL", dagster_url)
    folder = prepare_dagster_home(tmp_path / "home")
    with DagsterInstance.from_config(str(folder)) as found:
        yield found


def test_the_instance_keeps_everything_in_postgresql(instance):
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        assert any(base.__module__.startswith("dagster_postgres.") for base in type(storage).__mro__)
    result = a_job.execute_in_process(instance=instance)
    assert instance.get_run_by_id(result.run_id).is_success
    assert len(instance.all_logs(result.run_id)) > 5


def test_runs_are_queued_with_the_limits_of_workspace_lane_and_upload(instance):
    config = instance.get_concurrency_config().run_queue_config
    limits = {limit["key"]: limit for limit in config.tag_concurrency_limits}
    unique = {"applyLimitPerUniqueValue": True}
    assert set(limits) == {tags.LANE, tags.WORKSPACE, "dagster/partition"}
    assert limits[tags.LANE]["value"] == "large"
    assert limits[tags.LANE]["limit"] * 2 <= config.max_concurrent_runs
    assert limits[tags.WORKSPACE]["value"] == unique
    assert limits[tags.WORKSPACE]["limit"] < config.max_concurrent_runs
    assert limits["dagster/partition"] == {"key": "dagster/partition", "value": unique, "limit": 1}
    assert instance.run_coordinator.dequeue_interval_seconds == 1


def test_only_dead_workers_are_retried_by_run_and_slots_come_back(instance):
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries > 0
    assert instance.run_retries_retry_on_asset_or_op_failure is False
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_start_timeout_seconds > 0
    assert instance.run_monitoring_cancel_timeout_seconds > 0
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] > 0


def test_pools_have_no_default_limit(instance):
    """On PostgreSQL its first concurrent use fails runs."""
    assert instance.get_concurrency_config().pool_config.default_pool_limit is None


def test_no_dialog_no_telemetry_and_no_tick_is_kept_for_ever(instance):
    assert instance.nux_enabled is False
    assert instance.telemetry_enabled is False
    for kind in ("sensor", "schedule"):
        assert "purge_after_days" in instance.get_settings("retention")[kind]


def test_the_file_is_the_one_of_deploy_and_an_old_copy_is_replaced(tmp_path):
    folder = prepare_dagster_home(tmp_path)
    fresh = (folder / "dagster.yaml").read_text(encoding="utf-8")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: true}", encoding="utf-8")
    assert prepare_dagster_home(tmp_path) == folder
    assert (folder / "dagster.yaml").read_text(encoding="utf-8") == fresh
    config, _ = dagster_instance_config(str(folder))
    assert set(config) >= set(yaml.safe_load(fresh))
