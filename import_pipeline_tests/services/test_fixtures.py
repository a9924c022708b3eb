import os

import psycopg
import pytest
from botocore.exceptions import ClientError

from import_pipeline.settings import Settings


def test_a_fresh_database_is_empty_and_its_loader_makes_tables_in_staging_only(database_url, as_owner):
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE UNLOGGED TABLE staging.u_1 (a int)")
        for place in ("public", "imports"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"CREATE TABLE {place}.t (a int)")
    with psycopg.connect(as_owner(database_url), autocommit=True) as conn:
        conn.execute("CREATE TABLE public.t (a int GENERATED ALWAYS AS IDENTITY, b int)")
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO public.t (b) VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DROP TABLE public.t")


def test_the_pipelines_user_writes_in_its_places_and_nowhere_else(s3, bucket_name, services):
    for place in ("uploads", "staging", "reports", "archive", "quarantine", "dagster"):
        s3.put_object(Bucket=bucket_name, Key=f"{place}/x", Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket_name)["KeyCount"] == 6
    services.aws.client("s3").put_object(Bucket=bucket_name, Key="elsewhere/x", Body=b"x")
    root_bucket = "of-another"
    services.aws.client("s3").create_bucket(Bucket=root_bucket)
    forbidden = [
        lambda: s3.put_object(Bucket=bucket_name, Key="elsewhere/y", Body=b"x"),
        lambda: s3.get_object(Bucket=bucket_name, Key="elsewhere/x"),
        lambda: s3.delete_object(Bucket=bucket_name, Key="elsewhere/x"),
        lambda: s3.put_object(Bucket=root_bucket, Key="uploads/x", Body=b"x"),
        lambda: s3.list_objects_v2(Bucket=root_bucket),
        lambda: s3.create_bucket(Bucket="one-more"),
        lambda: s3.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"}),
        lambda: services.aws.client("iam", services.key).list_users(),
    ]
    for attempt in forbidden:
        with pytest.raises(ClientError) as caught:
            attempt()
        assert caught.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
    services.aws.client("s3").delete_bucket(Bucket=root_bucket)


def test_a_wrong_secret_is_refused(services, bucket_name):
    wrong = type(services.key)(services.key.access_key_id, "wrong")
    with pytest.raises(ClientError) as caught:
        services.aws.client("s3", wrong).list_objects_v2(Bucket=bucket_name)
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_nothing_of_the_developer_reaches_a_test(monkeypatch):
    leaked = [name for name in os.environ if name.startswith("IMPORT_PIPELINE_")]
    assert leaked == []
    assert "AWS_ACCESS_KEY_ID" not in os.environ
    assert Settings().bucket is None
