"""The sweep over real tables and objects: what finished and dead attempts left goes, nothing else."""

import psycopg
import pytest
from psycopg import sql

from import_pipeline.errors import NotAllDone
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.flow.housekeeping.sweeping import abort_unfinished, sweep_objects, sweep_tables
from import_pipeline.settings import Settings
from import_pipeline.storage.places import DOCTOR, PROBES
from import_pipeline_tests.flow.housekeeping.conftest import ATTEMPT, Yard


def sweep(house: House) -> None:
    sweep_tables(house)
    sweep_objects(house)


def test_what_dead_attempts_left_goes_and_nothing_of_one_that_may_go_on(yard: Yard) -> None:
    done, stuck, live = (
        yard.reported("a.csv"),
        yard.upload("f.csv", "failed"),
        yard.upload("r.csv", "running"),
    )
    yard.stage(done, ATTEMPT)
    yard.stage(stuck, "99999999")
    yard.stage(live, "99999999")
    kept = [yard.stage(stuck, ATTEMPT), yard.stage(live, ATTEMPT)]
    other = [yard.put("staging/notes.txt"), yard.put("staging/leads/not-a-short-id/x/y")]
    yard.sql("CREATE TABLE staging.of_somebody_else (a int)")
    now = yard.house()

    sweep(now)
    sweep(now)

    assert yard.tables() == {"of_somebody_else", *(table for _, table in kept)}
    assert set(yard.keys("staging/")) == {*other, *(key for key, _ in kept)}
    assert (now.did["tables dropped"], now.did["objects deleted"]) == (3, 3)
    assert now.did["bytes of objects"] == 12

    sweep(yard.house(days=7.1))
    assert yard.tables() == {"of_somebody_else", kept[1][1]}
    assert set(yard.keys("staging/")) == {*other, kept[1][0]}


def test_what_a_transaction_or_a_run_of_dagster_holds_is_left_alone(yard: Yard) -> None:
    stuck = yard.upload("f.csv", "failed")
    key, table = yard.stage(stuck, ATTEMPT)
    later = yard.house(days=30)

    with psycopg.connect(yard.settings.require_database_url()) as holder:
        holder.execute("SELECT FROM imports.uploads WHERE upload_id = %s FOR UPDATE", [stuck["upload_id"]])
        sweep(later)
    yard.active = {stuck["upload_id"]}
    sweep(later)
    assert (yard.tables(), yard.keys("staging/")) == ({table}, [key])

    yard.active = set()
    sweep(later)
    assert (yard.tables(), yard.keys("staging/")) == (set(), [])


def test_a_table_that_an_orphan_still_writes_to_is_left_for_the_next_sweep(yard: Yard) -> None:
    _, table = yard.stage(yard.reported("a.csv"), "77777777")
    now = yard.house()

    with psycopg.connect(yard.settings.require_database_url()) as orphan:
        orphan.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(sql.Identifier("staging", table)))
        sweep_tables(now)
        assert now.did["tables in use, left"] == 1
    sweep_tables(now)

    assert yard.tables() == set()


def test_a_table_of_another_owner_keeps_no_other(yard: Yard, settings: Settings) -> None:
    with psycopg.connect(settings.require_owner_database_url()) as owner:
        owner.execute("CREATE TABLE staging.u_000000000000_aaaaaaaa (a int)")
    yard.conn.execute("CREATE UNLOGGED TABLE staging.u_111111111111_aaaaaaaa (a int)")
    with pytest.raises(
        NotAllDone,
        match=r"1 could not be dropped, all others are done; the first: staging\.u_0{12}_a{8}: must",
    ):
        sweep_tables(yard.house())
    assert yard.tables() == {"u_000000000000_aaaaaaaa"}


def test_staging_of_an_upload_that_the_ledger_does_not_know_goes_when_it_is_old(yard: Yard) -> None:
    key = yard.put("staging/leads/0123456789ab/12345678/clean/0001.parquet")

    sweep(yard.house(days=6))
    assert yard.keys("staging/") == [key]
    sweep(yard.house(days=7.1))

    assert yard.keys("staging/") == []


def test_probes_that_a_killed_process_left_go_after_a_day(yard: Yard) -> None:
    probes = [yard.put(f"{prefix}x") for prefix in (DOCTOR, PROBES)]

    sweep(yard.house(days=0.9))
    assert yard.keys("staging/") == sorted(probes)
    sweep(yard.house(days=1.1))
    assert yard.keys("staging/") == []


def test_unfinished_uploads_of_ours_are_given_up_and_those_of_senders_are_not(yard: Yard) -> None:
    client, name = yard.bucket.client, yard.bucket.name
    for key in ("archive/acme/leads/0123456789ab/a.csv", "uploads/acme/leads/big.csv"):
        client.create_multipart_upload(Bucket=name, Key=key)
    young, old = yard.house(days=0.5), yard.house(days=1.1)

    abort_unfinished(young)
    assert not young.did["unfinished uploads given up"]
    abort_unfinished(old)

    assert old.did["unfinished uploads given up"] == 1
    left = client.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [one["Key"] for one in left] == ["uploads/acme/leads/big.csv"]
