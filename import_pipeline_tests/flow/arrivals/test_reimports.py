"""An upload brought in again as an arrival."""

from dataclasses import dataclass
from datetime import UTC, datetime

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.flow.arrivals.identity import identity, short_id, upload_id
from import_pipeline.flow.arrivals.reimports import reimport_arrival, reimport_options
from import_pipeline.records import ListedObject

LISTED = ListedObject("b", "uploads/acme/leads/sub/a.csv", "e", 9, datetime(2026, 3, 1, tzinfo=UTC), "v1")


@dataclass(frozen=True)
class Row:
    path: str = "sub/a.csv"
    workspace: str | None = "acme"
    dataset: str | None = "leads"
    file_name: str = "a.csv"
    listed: ListedObject = LISTED
    parent: str | None = None
    member: str = ""

    @property
    def upload_id(self) -> str:
        return upload_id(self.workspace, self.path, identity(self.listed, self.member))


def test_it_has_the_name_place_and_time_of_the_upload_and_an_identity_of_its_own() -> None:
    again = reimport_arrival(Row(), 1)

    assert again.upload_id == f"acme/sub/a.csv@{again.short_id}"
    assert again.short_id == short_id(again.identity) != short_id(identity(LISTED))
    assert (again.listed, again.workspace, again.dataset) == (LISTED, "acme", "leads")


def test_each_reimport_is_another_upload_and_the_same_one_is_the_same() -> None:
    rows = [Row(), Row(parent="z", member="a.csv"), Row(parent="z", member="b.csv")]
    ids = [reimport_arrival(row, number).identity for row in rows for number in (1, 2)]

    assert len(set(ids)) == 6
    assert [reimport_arrival(row, number).identity for row in rows for number in (1, 2)] == ids


def test_a_long_path_with_an_at_sign_stays_as_it_was_named() -> None:
    row = Row(path="x/" * 100 + "list@home.csv")
    again = reimport_arrival(row, 1)

    assert again.upload_id.rsplit("@", 1)[0] == row.upload_id.rsplit("@", 1)[0]


def test_rows_of_its_own_that_are_there_are_not_handed_back_by_a_dataset_that_rejects_keys() -> None:
    leads, vehicles = (load_datasets("")[name] for name in ("leads", "vehicles"))
    assert vehicles.existing_for(SenderOptions()) == "reject"

    assert reimport_options(SenderOptions(decimal=","), vehicles) == SenderOptions(
        decimal=",", on_existing="skip", force=True
    )
    assert reimport_options(SenderOptions(on_existing="update"), vehicles).on_existing == "update"
    assert reimport_options(SenderOptions(), leads) == SenderOptions(force=True)
