"""`make torture`: kill everything, everywhere, and see that nothing is lost and nothing comes twice.

    python -m import_pipeline_tests.torture [--kills N] [--daemon-kills M] [--seed S] [--minutes T]

Exit code 1 if an import did not end as an undisturbed one does. `--case N` repeats one case.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from import_pipeline_tests.torture.cases import STAGES, WHATS, Case, draw_cases, draw_short
from import_pipeline_tests.torture.figures import account, table
from import_pipeline_tests.torture.outcomes import Outcome, from_line

ROWS_PER_BATCH = "TORTURE_ROWS_PER_BATCH"
DRAWN_BESIDE = 1.05  # a few moments never come: a step may have fewer of them than the recorded one


def main() -> int:
    """Draw, run and report."""
    asked = _arguments()
    if asked.short:
        os.environ[ROWS_PER_BATCH] = "300"
    processes, daemon = _cases(asked)
    began = time.time()
    until = began + asked.minutes * 60
    outcomes: list[Outcome] = []
    with contextlib.ExitStack() as stack:
        home = asked.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)
        parts = [processes[lane :: asked.lanes] for lane in range(asked.lanes)]
        failed = _run([part for part in (*parts, daemon) if part], home, until, outcomes)
    print()
    print(table(outcomes, asked.seed, time.time() - began))
    return int(failed or any(outcome.is_bad for outcome in outcomes))


def _cases(asked: argparse.Namespace) -> tuple[list[Case], list[Case]]:
    """Cases without and with a daemon."""
    if asked.short:
        return draw_short(asked.seed), []
    chosen = {"whats": asked.what or WHATS, "stages": asked.stage or STAGES}
    with_daemon = round(asked.daemon_kills * DRAWN_BESIDE)
    without = round((asked.kills - asked.daemon_kills) * DRAWN_BESIDE)
    daemon = draw_cases(asked.seed, with_daemon, daemon=True, **chosen)
    processes = draw_cases(asked.seed, max(without, 0), daemon=False, **chosen)
    if asked.case:
        daemon = [c for c in daemon if f"d{c.number}" in asked.case]
        processes = [c for c in processes if f"p{c.number}" in asked.case]
    return processes, daemon


def _run(parts: Sequence[Sequence[Case]], home: Path, until: float, outcomes: list[Outcome]) -> bool:
    """Each part in a lane of its own, side by side; whether a lane itself failed."""
    codes: list[int] = []
    lanes = [
        threading.Thread(target=lambda n=n, p=p: codes.append(_lane(n, p, home, until, outcomes)))
        for n, p in enumerate(parts, start=1)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    return any(codes)


def _lane(number: int, cases: Sequence[Case], home: Path, until: float, outcomes: list[Outcome]) -> int:
    log = home / f"lane-{number}.log"
    command = [
        sys.executable,
        "-m",
        "import_pipeline_tests.torture.lane",
        str(home / f"lane-{number}"),
        str(until),
    ]
    with log.open("ab") as errors:
        lane = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert lane.stdin is not None
        assert lane.stdout is not None
        lane.stdin.write(json.dumps([asdict(case) for case in cases]))
        lane.stdin.close()
        for line in lane.stdout:
            outcome = from_line(line)
            outcomes.append(outcome)
            _say(len(outcomes), outcome)
        code = lane.wait()
    if code:
        print(f"lane {number} ended with exit code {code}; the end of its log:")
        print("\n".join(log.read_text(errors="replace").splitlines()[-25:]))
    return code


def _say(done: int, outcome: Outcome) -> None:
    case = outcome.case
    name = f"{'d' if case['daemon'] else 'p'}{case['number']}"
    verdict = "WRONG" if outcome.is_bad else "ok" if outcome.killed else "no kill"
    print(
        f"{done:4} {name:6} {case['what']:9} {case['stage']:16} {case['processes']:5} "
        f"{'+'.join(outcome.recoveries):24} {outcome.seconds:6.1f} s  {verdict}  {outcome.moment}",
        flush=True,
    )
    if outcome.is_bad:
        print(account(outcome), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m import_pipeline_tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="kills in all (500)")
    parser.add_argument("--daemon-kills", type=int, default=150, help="of them in runs of the daemon (150)")
    parser.add_argument("--seed", type=int, default=1, help="draws the same cases again (1)")
    parser.add_argument("--minutes", type=float, default=60, help="begin no further case after them (60)")
    parser.add_argument("--lanes", type=int, default=2, help="worlds side by side, beside the daemon's (2)")
    parser.add_argument("--what", action="append", choices=WHATS, help="kill only this (repeatable)")
    parser.add_argument("--stage", action="append", choices=STAGES, help="strike only here (repeatable)")
    parser.add_argument("--case", action="append", help="only this case: p17, or d3 of the daemon's")
    parser.add_argument("--short", action="store_true", help="one kill in each stage, and no more")
    parser.add_argument("--home", type=Path, help="keep services and logs here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
