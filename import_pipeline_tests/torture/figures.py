"""The table at the end of `make torture`, and the case-by-case account of what is wrong."""

from collections import Counter
from collections.abc import Sequence

from import_pipeline_tests.torture.cases import RECOVERIES, STAGES, WHATS
from import_pipeline_tests.torture.outcomes import Outcome


def table(outcomes: Sequence[Outcome], seed: int, seconds: float) -> str:
    """Kills by stage and by what was killed, and what became of the files."""
    killed = [outcome for outcome in outcomes if outcome.killed]
    cells = Counter((o.case["stage"], o.case["what"]) for o in killed)
    width = max(map(len, STAGES))
    lines = [f"{'killed':{width}}" + "".join(f"{what:>10}" for what in WHATS) + f"{'all':>10}"]
    for stage in STAGES:
        row = [cells[stage, what] for what in WHATS]
        lines.append(f"{stage:{width}}" + "".join(f"{n:>10}" for n in (*row, sum(row))))
    row = [sum(cells[stage, what] for stage in STAGES) for what in WHATS]
    lines.append(f"{'all':{width}}" + "".join(f"{n:>10}" for n in (*row, sum(row))))
    recoveries = Counter(recovery for o in killed for recovery in o.recoveries)
    facts = {
        "kills": len(killed),
        "of runs launched by the daemon": sum(o.case["daemon"] for o in killed),
        "after the commit": sum(o.after_commit for o in killed),
        "fewest in a cell": min(
            cells[stage, what] for stage in STAGES for what in {o.case["what"] for o in killed} or WHATS
        ),
        "overlaps": sum(o.overlap for o in killed),
        "recoveries": ", ".join(f"{name} {recoveries[name]}" for name in _known_first(recoveries)),
        "files": len(outcomes),
        "rows lost": sum(o.rows_lost for o in outcomes),
        "rows twice": sum(o.rows_twice for o in outcomes),
        "left in staging until the sweep": sum(bool(o.left) for o in outcomes),
        "left in staging after it": sum(bool(o.left_after_sweep) for o in outcomes),
        "not as an undisturbed import": sum(o.is_bad for o in outcomes),
        "moment never came": len(outcomes) - len(killed),
        "seed": seed,
        "minutes": round(seconds / 60, 1),
    }
    longest = max(map(len, facts))
    return "\n".join([*lines, "", *(f"{name:{longest}}  {value}" for name, value in facts.items())])


def account(outcome: Outcome) -> str:
    """What is wrong with a case, and how to repeat it."""
    case = outcome.case
    head = (
        f"case {case['number']} ({'daemon' if case['daemon'] else 'processes'}): {case['what']} in "
        f"{case['stage']}, {case['dataset']}, at {outcome.moment or 'no moment'}; "
        f"{', '.join(outcome.recoveries) or 'no recovery'}\n  {case}"
    )
    lines = [
        *_few_of_each(outcome.differences),
        *(f"left in staging: {what}" for what in outcome.left_after_sweep),
    ]
    lines += outcome.error.splitlines()[-12:]
    return "\n".join([head, *(f"  {line[:600]}" for line in lines)])


def _few_of_each(differences: Sequence[str]) -> list[str]:
    """Three of each kind, and how many more there are."""
    kinds: dict[str, list[str]] = {}
    for line in differences:
        kinds.setdefault(line.split(":", 1)[0], []).append(line)
    more = {kind: len(lines) - 3 for kind, lines in kinds.items() if len(lines) > 3}
    shown = [line for lines in kinds.values() for line in lines[:3]]
    return [*shown, *(f"{kind}: {count} more" for kind, count in more.items())]


def _known_first(found: Counter[str]) -> list[str]:
    return [name for name in (*RECOVERIES, *sorted(set(found) - set(RECOVERIES))) if found[name]]
