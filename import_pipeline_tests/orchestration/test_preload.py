"""What the fork server of steps and runs has ready before it forks."""

import subprocess
import sys

READY = """
import gc, sys
import import_pipeline.orchestration.preload
from import_pipeline.flow.reports.page import page_template
from babel import localedata
print(gc.get_freeze_count() > 100_000, page_template.cache_info().currsize, sorted(localedata._cache))
"""


def test_the_fork_server_has_the_reports_page_and_languages_ready_and_its_objects_frozen() -> None:
    done = subprocess.run([sys.executable, "-c", READY], check=True, capture_output=True, text=True)
    frozen, templates, languages = done.stdout.split(maxsplit=2)
    assert frozen == "True"
    assert templates == "1"
    assert "'en" in languages
    assert "'pt" in languages
