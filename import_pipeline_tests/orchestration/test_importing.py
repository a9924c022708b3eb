"""The main job, from a file in the bucket to rows in the table."""

from import_pipeline_tests.orchestration.conftest import World

LEADS = "E-mail;Nome;Valor estimado\nana@exemplo.com;Ana;1.234,56\nbruno@exemplo.com;Bruno;10,00\n"


def test_a_dropped_file_is_imported_reported_and_archived(world: World) -> None:
    upload = world.import_file("uploads/acme/leads/leads.csv", LEADS)

    assert upload["state"] == "completed"
    assert (upload["read"], upload["inserted"], upload["rejected"]) == (2, 2, 0)
    assert world.sql("SELECT email, estimated_value::text FROM leads ORDER BY email") == [
        {"email": "ana@exemplo.com", "estimated_value": "1234.56"},
        {"email": "bruno@exemplo.com", "estimated_value": "10.00"},
    ]
    assert world.keys("uploads/") == []
    assert world.keys("staging/") == []
    assert world.keys("archive/") == [f"archive/acme/leads/{upload['short_id']}/leads.csv"]
    assert f"reports/acme/leads/{upload['short_id']}/summary.json" in world.keys("reports/")
    assert upload["reported_at"] is not None
    assert world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'") == []
