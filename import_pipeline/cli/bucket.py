"""`bucket apply`: lifecycle rules as a safety net below housekeeping's jobs."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from import_pipeline.cli.console import print_json, say
from import_pipeline.cli.exit_codes import TROUBLE
from import_pipeline.cli.options import JsonOption

if TYPE_CHECKING:
    from import_pipeline.storage.lifecycle import PlannedRules, Rule

app = typer.Typer(no_args_is_help=True, help="The bucket's own rules.")


@app.callback()
def bucket() -> None:
    """The bucket's own rules."""


@app.command("apply")
def apply(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give the bucket lifecycle rules that take away what housekeeping would have, a week and more later.

    Shows what changes and asks. Rules of others stay as they are, and none is ever put on `uploads/`. Needs
    the rights of deploy/s3-policies/operator.json.
    """
    from import_pipeline.cli.connecting import open_bucket
    from import_pipeline.flow.housekeeping.days import SAFETY_NET_DAYS, kept_days, safety_net_days
    from import_pipeline.flow.housekeeping.sweeping import UNFINISHED_DAYS
    from import_pipeline.settings import load_settings
    from import_pipeline.storage.lifecycle import apply_rules, plan_rules, read_rules, wanted_rules

    settings = load_settings()
    place = open_bucket(settings)
    wanted = wanted_rules(
        safety_net_days(kept_days(settings)),
        unfinished_days=UNFINISHED_DAYS + SAFETY_NET_DAYS,
        version_days=SAFETY_NET_DAYS,
    )
    plan = plan_rules(read_rules(place.client, place.name), wanted)
    if not as_json:
        _show(plan, place.name)
    if not plan.nothing:
        if not yes and not typer.confirm("Apply?", err=True):
            say("Nothing was changed.")
            raise typer.Exit(TROUBLE)
        apply_rules(place.client, place.name, plan)
        if not as_json:
            say("[green]Applied.[/]")
    if as_json:
        print_json(_plain(plan))


def _show(plan: "PlannedRules", name: str) -> None:
    for rule in plan.added:
        say(f"[green]+ {escape(_words(rule))}[/]")
    for before, after in plan.changed:
        # Words tell what we set; what somebody else set stands in the rule alone.
        tell = _words if _words(before) != _words(after) else _json
        say(f"[red]- {escape(tell(before))}[/]")
        say(f"[green]+ {escape(tell(after))}[/]")
    for rule in plan.removed:
        say(f"[red]- {escape(_words(rule))}[/]")
    if plan.nothing:
        say(f"Nothing to do: {escape(name)} has these rules already.")
    if plan.foreign:
        say(f"{plan.foreign} rules of others stay as they are.")


def _words(rule: "Rule") -> str:
    days = rule.get("Expiration", {}).get("Days")
    facts = [
        f"objects go after {days} days" if days else "objects stay",
        _after("versions of deleted ones", rule, "NoncurrentVersionExpiration", "NoncurrentDays"),
        _after("unfinished uploads", rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
    ]
    where = rule.get("Filter", {}).get("Prefix") or "everything"
    off = "" if rule.get("Status") == "Enabled" else " (disabled)"
    return f"{rule.get('ID')}: {where}{off}: {', '.join(fact for fact in facts if fact)}"


def _json(rule: "Rule") -> str:
    return json.dumps(rule, sort_keys=True, default=str)


def _after(what: str, rule: "Rule", action: str, field: str) -> str:
    days = rule.get(action, {}).get(field)
    return f"{what} after {days}" if days else ""


def _plain(plan: "PlannedRules") -> dict[str, Any]:
    return {
        "added": plan.added,
        "changed": [{"before": before, "after": after} for before, after in plan.changed],
        "removed": plan.removed,
        "rules": plan.rules,
    }
