import traceback

import psycopg
import pytest
from psycopg import errors as pg

from import_pipeline.errors import ConcurrentChange, DatabaseUnavailable
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.events import one_line


def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_unsaid():
    password = "hunter" + "2"  # or the traceback shows this line
    with pytest.raises(DatabaseUnavailable) as caught:
        connect(f"postgresql://someone:{password}@127.0.0.1:1/imports")
    shown = "".join(traceback.format_exception(caught.value))
    assert "127.0.0.1" in str(caught.value)
    assert "hunter2" not in shown


def test_a_connection_that_is_ended_is_trouble_around_us(database_url, as_superuser):
    with psycopg.connect(as_superuser(database_url), autocommit=True) as superuser:
        conn = connect(database_url)
        superuser.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        with pytest.raises(DatabaseUnavailable), translated_errors():
            conn.execute("SELECT 1")
        with pytest.raises(DatabaseUnavailable), translated_errors():
            conn.execute("SELECT 1")


def test_a_conflict_is_to_be_repeated_and_does_not_quote_the_row(conn):
    conn.execute("INSERT INTO leads (_workspace, email) VALUES ('acme', 'ana@example.com')")
    with pytest.raises(ConcurrentChange) as caught, translated_errors():
        conn.execute("INSERT INTO leads (_workspace, email) VALUES ('acme', 'ana@example.com')")
    assert caught.value.fields["constraint"] == "leads_import_key"
    assert "ana@" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("state", ["57014", "57P01", "53100"])
def test_an_answer_that_the_server_is_not_available_does_not_quote_the_row(conn, state):
    """A trigger that raised one of these brought its DETAIL into the run's traceback."""
    with pytest.raises(DatabaseUnavailable, match=f"busy .SQLSTATE {state}") as caught, translated_errors():
        conn.execute(
            f"DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = '{state}', DETAIL = 'ana@' || 'x'; END $$"
        )
    assert "ana@x" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03"])
def test_serialization_deadlock_and_lock_timeouts_are_conflicts(conn, state):
    with pytest.raises(ConcurrentChange), translated_errors():
        conn.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")


def test_a_mistake_in_our_sql_stays_what_it_is(conn):
    with pytest.raises(pg.UndefinedTable), translated_errors():
        conn.execute("SELECT * FROM nowhere")


def test_a_connection_works_behind_a_pooler_and_names_itself(conn):
    assert conn.prepare_threshold is None
    assert conn.execute("SHOW application_name").fetchone() == ("import_pipeline",)


def test_a_message_is_one_line_of_bounded_length():
    assert one_line(" a\nb\r\n\tc\x1b[31m\u2028d ") == "a b c [31m d"
    assert len(one_line("x" * 5000)) == 1000
