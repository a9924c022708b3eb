"""The process of one lane: reads its cases from standard input, writes an outcome a line.

`python -m import_pipeline_tests.torture.lane HOME UNTIL`; started by `__main__.py`.
"""

import json
import os
import sys
from pathlib import Path

from import_pipeline_tests.torture.cases import Case
from import_pipeline_tests.torture.outcomes import Outcome, to_line


def main() -> None:
    """Run the cases of this lane, with or without a daemon."""
    home, until = Path(sys.argv[1]), float(sys.argv[2])
    cases = [Case(**content) for content in json.loads(sys.stdin.read())]
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(outcome: Outcome) -> None:
        said.write(to_line(outcome) + "\n")
        said.flush()

    if cases[0].daemon:
        from import_pipeline_tests.torture.daemon import run_daemon_lane

        run_daemon_lane(home, cases, until, say)
        return
    from import_pipeline_tests.torture.disturbing import Lane, run_lane
    from import_pipeline_tests.torture.scene import open_scene

    with open_scene(home) as scene:
        run_lane(Lane(scene), cases, until, say)


if __name__ == "__main__":
    main()
