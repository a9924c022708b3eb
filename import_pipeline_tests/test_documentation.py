"""What README and docs name exists: commands and their options, variables, make targets, files, links."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from import_pipeline.cli.main import app
from import_pipeline.settings import Settings, variable_of

TOP = Path(__file__).parents[1]
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
# Beside our own: what the local services' set-up, boto3 and Dagster read.
OTHER_VARIABLES = {"AWS_ENDPOINT_URL", "DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY"}
COMMAND = re.compile(r"^(?:[A-Z_]+=\S* )*(?:\.venv/bin/)?import-pipeline ([a-z][a-z-]*)(.*)$")
TOP_FOLDERS = ("import_pipeline", "import_pipeline_tests", "docs", "deploy", "benchmarks", ".ci", ".github")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    """`--help` of every command, by name; asked for once."""
    listed = _help()
    names = set(re.findall(r"^│ ([a-z]+) ", listed, re.MULTILINE))
    return {name: _help(name) for name in names}


@pages
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pages
def test_every_path_that_is_named_exists(page: Path) -> None:
    for path in _code(page):
        if path.split("/")[0] in TOP_FOLDERS and "/" in path and not set(path) & set("<>*… "):
            # One that a page tells the reader to make has an example beside it.
            assert (TOP / path).exists() or (TOP / f"{path}.example").exists(), f"{page.name} names {path}"


@pages
def test_every_variable_that_is_named_is_read(page: Path) -> None:
    known = {variable_of(name) for name in Settings.model_fields} | OTHER_VARIABLES
    named = set(
        re.findall(r"\b(?:IMPORT_PIPELINE|AWS|DAGSTER)_[A-Z0-9_]*[A-Z0-9]\b", page.read_text("utf-8"))
    )
    assert named <= known


@pages
def test_every_make_target_that_is_named_is_there(page: Path) -> None:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {code[5:].split()[0] for code in _code(page) if re.match(r"make [a-z]", code)}
    assert named <= targets


@pages
def test_every_command_that_is_named_has_these_options(page: Path, help_texts: dict[str, str]) -> None:
    for command, rest in _commands(page):
        assert command in help_texts, f"{page.name} names import-pipeline {command}"
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest):
            assert option == "--help" or re.search(rf"{option}\b", help_texts[command]), f"{command} {option}"


def test_the_readme_shows_every_command_group() -> None:
    """Guards the tests above: with a pattern that finds nothing they would all pass."""
    named = {command for command, _ in _commands(TOP / "README.md")}
    assert {"upload", "import", "check", "status", "report", "datasets", "migrate", "dev", "doctor"} <= named


def test_the_readmes_dataset_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones that need no service, as they stand there, with the page's own dataset."""
    page = (TOP / "docs" / "add-a-dataset.md").read_text(encoding="utf-8")
    folder = tmp_path / "my_datasets"
    folder.mkdir()
    (folder / "customers.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], "utf-8")
    (tmp_path / "leads.csv").write_text("email,name\nana@firma.example,Ana\n", encoding="utf-8")
    monkeypatch.setenv("IMPORT_PIPELINE_DATASETS", "my_datasets/")

    readme = (TOP / "README.md").read_text(encoding="utf-8")
    assert "IMPORT_PIPELINE_DATASETS=my_datasets/ import-pipeline datasets" in readme
    assert "customers" in _run("datasets").stdout
    assert "import-pipeline check leads.csv --dataset leads" in readme
    assert _run("check", "leads.csv", "--dataset", "leads").returncode == 0


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    seen, ahead = set(), [TOP / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            if path.is_dir():
                ahead += path.glob("*.md")
            elif path.suffix == ".md" and path.exists():
                ahead.append(path)
    assert set(PAGES) <= seen


def test_what_the_code_says_of_the_docs_exists() -> None:
    for source in (TOP / "import_pipeline").rglob("*.py"):
        for path in re.findall(r"\bdocs/[\w/-]+\.md\b", source.read_text(encoding="utf-8")):
            assert (TOP / path).exists(), f"{source.relative_to(TOP)} names {path}"


PASSWORDS = {"POSTGRES_PASSWORD", "OWNER_PASSWORD", "LOADER_PASSWORD", "DAGSTER_PASSWORD"}


def test_the_environment_examples_of_the_containers_name_only_variables_that_are_read() -> None:
    known = {variable_of(name) for name in Settings.model_fields}
    examples = (TOP / "deploy").glob("*.env.example")
    assert set().union(*map(_variables, examples)) - PASSWORDS <= known


def test_a_container_has_only_the_secrets_that_it_needs() -> None:
    """All had all: who got into the web server had the owner's and the superuser's passwords."""
    services = yaml.safe_load((TOP / "deploy" / "docker-compose.yaml").read_text(encoding="utf-8"))[
        "services"
    ]
    given = {}
    for name, service in services.items():
        files = service["env_file"] if isinstance(service["env_file"], list) else [service["env_file"]]
        given[name] = set().union(*(_variables(TOP / "deploy" / f"{file}.example") for file in files))
    owner = "IMPORT_PIPELINE_OWNER_DATABASE_URL"
    assert given["postgres"] == PASSWORDS
    assert {name for name in given if owner in given[name]} == {"migrate"}
    for name in ("code", "daemon", "webserver"):
        assert given[name].isdisjoint(PASSWORDS) and "IMPORT_PIPELINE_DATABASE_URL" in given[name]


def _variables(example: Path) -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", example.read_text(encoding="utf-8"), re.MULTILINE))


def _code(page: Path) -> Iterator[str]:
    """Everything in code spans and lines of code blocks, without comments."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            yield re.sub(r"\s+#.*$", "", line).strip()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _commands(page: Path) -> Iterator[tuple[str, str]]:
    """Each `import-pipeline <command>` in the page's code: command, and the rest of the line."""
    for code in _code(page):
        found = COMMAND.match(code)
        if found:
            yield found[1], found[2]


def _help(*command: str) -> str:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "import-pipeline"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
