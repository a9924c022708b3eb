"""docs/command-line.md tells the truth: its commands, options, exit codes and sample counts."""

import re
from pathlib import Path

import typer.main

from import_pipeline.cli.exit_codes import BY_STATE
from import_pipeline.cli.main import app
from import_pipeline.samples.all_samples import SAMPLES

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options(command: str) -> set[str]:
    return {name for parameter in COMMANDS[command].params for name in parameter.opts if name[:2] == "--"}


def test_the_page_names_every_command_and_no_other():
    named = set(re.findall(r"`import-pipeline ([a-z]+)", PAGE))

    assert named == set(COMMANDS)


def test_every_option_on_the_page_is_one_and_every_option_is_on_the_page():
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--help"}
    known = set().union(*(options(command) for command in COMMANDS)) - {"--help"}

    assert named == known


def test_check_takes_the_options_that_say_how_a_file_is_read():
    reading = {"--encoding", "--delimiter", "--decimal", "--date-order", "--header-row", "--sheet"}
    assert reading <= options("check")
    assert not {"--on-existing", "--dry-run", "--force", "--name"} & options("check")


def test_whoever_sends_a_file_may_state_everything():
    stated = {"--header-row", "--sheet", "--on-existing", "--dry-run", "--force", "--name", "--decimal"}
    assert stated <= options("upload")
    assert options("upload") - {"--wait"} == options("import")


def test_the_exit_codes_are_those_of_the_code():
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE))

    for state, code in BY_STATE.items():
        if state not in ("expanded", "undone"):
            assert f"`{state}`" in rows[str(code)]


def test_the_samples_on_the_page_are_those_of_the_package():
    rows = re.findall(r"^\| `([\w.-]+\.csv)` \|[^|]*\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$",
                      PAGE, re.MULTILINE)  # fmt: skip

    assert [(name, *(int(n.replace(",", "")) for n in numbers)) for name, *numbers in rows] == [
        (s.file_name, s.counts.read, s.counts.inserted, s.counts.duplicate, s.counts.rejected)
        for s in SAMPLES
    ]
