import json
import os
import re
import traceback
from pathlib import Path

import pytest
from pydantic import AliasChoices

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.lock import take
from import_pipeline.settings import (
    SERVICES_FILE,
    Settings,
    load_settings,
    read_services,
    variable_of,
    with_services,
)

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"
OFFERED = {
    "database_url": "postgresql://l@127.0.0.1:1/imports",
    "owner_database_url": "postgresql://o@127.0.0.1:1/imports",
    "dagster_database_url": "postgresql+psycopg2://d@127.0.0.1:1/dagster",
    "bucket": "imports",
    "aws_endpoint_url": "http://127.0.0.1:2",
    "aws_region": "us-east-1",
    "aws_access_key_id": "LOCAL",
    "aws_secret_access_key": "word",
}


def _example() -> dict[str, tuple[str, str]]:
    """Variable to (its comment as one line, its value)."""
    found, comment = {}, []
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif "=" in line:
            name, value = line.split("=", 1)
            found[name] = (" ".join(comment), value)
            comment = []
        else:
            comment = []
    return found


def test_the_example_lists_every_variable_with_its_description_and_nothing_else():
    described = {variable_of(name): field.description for name, field in Settings.model_fields.items()}
    assert {name: comment for name, (comment, _) in _example().items()} == described


def test_a_copy_of_the_example_changes_nothing(tmp_path):
    (tmp_path / ".env").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    copied = load_settings()
    (tmp_path / ".env").unlink()
    assert copied == load_settings()


def test_every_variable_in_the_code_is_a_setting():
    """A variable read past the settings class would be in no documentation."""
    known = {variable_of(name) for name in Settings.model_fields}
    for field in Settings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            known |= {str(choice) for choice in field.validation_alias.choices}
    named = set()
    for path in [*(ROOT / "import_pipeline").rglob("*.py"), ROOT / "deploy" / "dagster.yaml"]:
        named |= set(re.findall(r"\bIMPORT_PIPELINE_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
    assert named - known == set()


def test_the_environment_wins_over_the_env_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(
        "IMPORT_PIPELINE_ROW_ERRORS_CAP=7\nIMPORT_PIPELINE_UI_PORT=4000\n", encoding="utf-8"
    )
    monkeypatch.setenv("IMPORT_PIPELINE_ROW_ERRORS_CAP", "8")
    assert (load_settings().row_errors_cap, load_settings().ui_port) == (8, 4000)


def test_a_wrong_value_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_UI_PORT", "seventy")
    monkeypatch.setenv("IMPORT_PIPELINE_PROCESSES", "few")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "IMPORT_PIPELINE_UI_PORT" in caught.value.message
    assert "IMPORT_PIPELINE_PROCESSES" in caught.value.message


def test_a_wrong_secret_is_not_shown_in_the_message(monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", "postgresql://u:hidden@h/d")
    monkeypatch.setenv("IMPORT_PIPELINE_UI_PORT", "x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hidden" not in str(caught.value)
    monkeypatch.setenv("IMPORT_PIPELINE_UI_PORT", "1")
    assert "hidden" not in repr(load_settings())


@pytest.mark.parametrize(
    ("missing", "variable"),
    [
        ("require_database_url", "IMPORT_PIPELINE_DATABASE_URL"),
        ("require_owner_database_url", "IMPORT_PIPELINE_DATABASE_URL"),
        ("require_dagster_database_url", "IMPORT_PIPELINE_DAGSTER_DATABASE_URL"),
        ("require_bucket", "IMPORT_PIPELINE_BUCKET"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(missing, variable):
    with pytest.raises(ConfigurationError, match=variable) as caught:
        getattr(load_settings(), missing)()
    assert "import-pipeline dev" in caught.value.remedy


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_dagsters_url_always_names_the_driver(monkeypatch, scheme):
    monkeypatch.setenv("IMPORT_PIPELINE_DAGSTER_DATABASE_URL", f"{scheme}://u:p@h/d")
    assert load_settings().require_dagster_database_url() == "postgresql+psycopg2://u:p@h/d"


def test_local_services_fill_what_is_not_set_and_stay_known_as_local():
    filled = with_services(Settings(), OFFERED)
    assert filled.require_database_url() == OFFERED["database_url"]
    assert filled.require_owner_database_url() == OFFERED["owner_database_url"]
    assert filled.require_bucket() == "imports"
    assert filled.is_local
    assert filled.is_local_aws


def test_a_database_set_by_hand_puts_the_local_one_aside_alone(monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", "postgresql://real/d")
    filled = with_services(Settings(), OFFERED)
    assert filled.require_database_url() == "postgresql://real/d"
    assert filled.require_owner_database_url() == "postgresql://real/d"
    assert not filled.is_local
    assert filled.is_local_aws
    assert filled.require_dagster_database_url() == OFFERED["dagster_database_url"]


def test_keys_in_the_developers_environment_are_never_sent_to_the_emulator(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    filled = with_services(Settings(), OFFERED)
    assert filled.aws_access_key_id == "LOCAL"
    assert filled.aws_session_token is None


def test_a_bucket_set_by_hand_never_meets_the_emulators_keys(monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_BUCKET", "real")
    filled = with_services(Settings(), OFFERED)
    assert filled.aws_endpoint_url is None
    assert filled.aws_access_key_id is None
    assert not filled.is_local_aws


def test_a_child_sees_the_same_settings(monkeypatch, tmp_path):
    filled = with_services(Settings(home=tmp_path), OFFERED)
    base = {"PATH": "/bin", "AWS_PROFILE": "real", "AWS_SESSION_TOKEN": "real"}
    env = filled.environment(base)
    assert env["PATH"] == "/bin"
    assert {name for name in env if name.startswith("AWS_")} == {
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert with_services(load_settings(), OFFERED) == filled


def test_with_a_real_bucket_a_child_keeps_the_usual_variables(monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_BUCKET", "real")
    env = load_settings().environment({"AWS_PROFILE": "mine"})
    assert env["AWS_PROFILE"] == "mine"
    assert "AWS_ENDPOINT_URL" not in env


def test_services_are_believed_only_while_their_lock_is_held(tmp_path, monkeypatch):
    """A killed parent leaves the file behind; its pid may be another program's by now."""
    monkeypatch.setenv("IMPORT_PIPELINE_HOME", str(tmp_path))
    (tmp_path / SERVICES_FILE).write_text(json.dumps({"pid": 1, "settings": OFFERED}), encoding="utf-8")
    assert read_services(tmp_path) == {}
    lock = take(tmp_path)
    assert load_settings().require_bucket() == "imports"
    os.close(lock)
    assert load_settings().bucket is None


@pytest.mark.parametrize("name", ["IMPORT_PIPELINE_DATABASE_URL", "IMPORT_PIPELINE_DAGSTER_DATABASE_URL"])
@pytest.mark.parametrize(
    "url",
    ["postgresql://u:secret@word@h/d", "postgresql://u:secret/word@h/d", "postgresql://u:secret#word@h/d",
     "postgresql://u:secret%zzword@h/d", "mysql://u:secretword@h/d", "u:secretword@h",
     "postgresql://u:se[cret]secretword@h/d", "postgresql://u:secret\uff0fword@h/d"],
)  # fmt: skip
def test_a_url_whose_password_would_be_cut_apart_is_refused_without_being_shown(monkeypatch, name, url):
    monkeypatch.setenv(name, url)
    with pytest.raises(ConfigurationError, match=name) as refused:
        load_settings()
    shown = "".join(traceback.format_exception(refused.value))
    assert "secret" not in shown and "word@" not in shown


@pytest.mark.parametrize(
    "url", ["postgresql://u:p%40ss@h:5432/d?sslmode=require", "postgres://h/d", "host=h password='a@b'"]
)
def test_other_addresses_of_a_database_are_taken_as_they_are(monkeypatch, url):
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", url)
    assert load_settings().require_database_url() == url
