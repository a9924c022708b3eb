"""What must hold for any document number, amount, date and JSON."""

import json
import string
from decimal import Decimal

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline_tests.flow.checks.anything import ANYTHING, read
from import_pipeline_tests.flow.checks.tables import check

CHARACTERS = string.digits + string.ascii_uppercase


def schoolbook(characters: str) -> str:
    """Both check digits of a CPF or CNPJ as Receita Federal's manuals work them out, digit by digit."""
    highest = 11 if len(characters) == 9 else 9
    for _ in range(2):
        weight, total = 2, 0
        for character in reversed(characters):
            total += (ord(character) - 48) * weight
            weight = 2 if weight == highest + (len(characters) == 10) else weight + 1
        rest = total % 11
        characters += "0" if rest < 2 else str(11 - rest)
    return characters


def test_the_schoolbook_gives_the_published_examples():
    """Receita Federal's own example of an alphanumeric CNPJ is 12.ABC.345/01DE-35."""
    assert schoolbook("12ABC34501DE") == "12ABC34501DE35"
    assert schoolbook("529982247") == "52998224725"


CPF_STEM = st.text(string.digits, min_size=9, max_size=9).filter(lambda t: len(set(t)) > 1)
CNPJ_STEM = st.text(CHARACTERS, min_size=12, max_size=12).filter(lambda t: len(set(t)) > 1)


@settings(max_examples=25, deadline=None)
@given(
    st.one_of(st.tuples(st.just("cpf"), CPF_STEM), st.tuples(st.just("cnpj"), CNPJ_STEM)),
    st.integers(0, 13),
    st.sampled_from(CHARACTERS),
)
def test_any_document_is_taken_with_its_check_digits_and_any_single_change_is_weighed(document, place, other):
    """A change is caught unless the changed text has the same check digits (remainders 0 and 1 share 0)."""
    name, stem = document
    whole = schoolbook(stem)
    assert read(name, whole) == whole
    place %= len(whole)
    changed = whole[:place] + (other if name == "cnpj" else str(ord(other) % 10)) + whole[place + 1 :]
    sound = changed[-2:].isdigit() and schoolbook(changed[:-2]) == changed
    assert read(name, changed) == (changed if sound else f"not_a_{name}")


def test_hardly_any_change_of_one_digit_or_swap_of_neighbours_goes_unseen():
    whole = schoolbook("529982247")
    changes = {whole[:p] + d + whole[p + 1 :] for p in range(11) for d in string.digits} - {whole}
    swaps = {whole[:p] + whole[p + 1] + whole[p] + whole[p + 2 :] for p in range(10)} - {whole}
    rows = [(text,) for text in sorted(changes | swaps)]
    checked = check(ANYTHING, rows, header=("cpf",))
    assert len(rows) > 100
    assert checked.rejects.num_rows == len(rows)


AMOUNT = st.decimals(Decimal("-99999999.99"), Decimal("99999999.99"), places=2)


def _spelled(value: Decimal, mark: str, group: str, negative: str) -> str:
    digits = f"{abs(value):,.2f}".replace(",", "_").replace(".", mark).replace("_", group)
    if value >= 0:
        return digits
    return {
        "before": f"-{digits}",
        "behind": f"{digits}-",
        "brackets": f"({digits})",
        "sign": f"\u2212{digits}",
    }[negative]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            AMOUNT, st.sampled_from(["before", "behind", "brackets", "sign"]), st.sampled_from(["", "R$ "])
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(
        [(",", "."), (",", " "), (",", "\u00a0"), (".", ","), (".", "\u202f"), (".", "'"), (",", "")]
    ),
)
def test_any_amount_is_read_back_in_every_notation(amounts, marks):
    cells = [(sign + _spelled(value, *marks, how),) for value, how, sign in amounts]
    clean = check(ANYTHING, cells, header=("money",), readings={"money": marks[0]}).clean
    assert clean["money"].to_pylist() == [value for value, *_ in amounts]


MONTHS = (
    "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro",
    "novembro", "dezembro",
)  # fmt: skip
ENGLISH = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.dates(), st.sampled_from(range(6))), min_size=1, max_size=20))
def test_any_date_with_a_named_month_is_read_back_whatever_the_column_says(days):
    def spelled(day, form):
        pt, en, year = MONTHS[day.month - 1], ENGLISH[day.month - 1], f"{day.year:04}"
        return (
            f"{day.day} de {pt} de {year}",
            f"{day.day:02}-{en[:3]}-{year}",
            f"{day.day} {pt[:3].upper()}. {year}",
            f"{en} {day.day}, {year}",
            f"{day.day}/{pt[:3]}/{year}",
            f"{en[:3]} {day.day:02} {year}",
        )[form]

    cells = [(spelled(day, form),) for day, form in days]
    clean = check(ANYTHING, cells, header=("day",), readings={"day": "mdy"}).clean
    assert clean["day"].to_pylist() == [day for day, _ in days]


JSON_PIECE = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', "\\", '"a":', "1", "-", "0", ".5", "e9", "E+99999", "null", "true",
     "nan", "Infinity", "\\u0000", "\\ud800", "\\udc00", "\\n", "\t", " ", "\n", "é", "\x7f", "/*", '"x"']
)  # fmt: skip
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(JSON_PIECE, max_size=8).map("".join) | JSON_VALUE.map(json.dumps), min_size=1, max_size=30
    )
)
def test_postgresql_takes_all_that_is_called_json(database_url, texts):
    checked = check(ANYTHING, [(text,) for text in texts], header=("document",))
    accepted = [text for text in checked.clean["document"].combine_chunks().storage.to_pylist() if text]
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT count(v::jsonb) FROM unnest(%s::text[]) v", [accepted]).fetchone()
    assert stored == (len(accepted),)


@settings(max_examples=25, deadline=None)
@given(JSON_VALUE)
def test_any_json_is_taken_unless_it_has_a_nul_character(value):
    text = json.dumps(value)
    assert read("document", text) == (text if "\\u0000" not in text.replace("\\\\", "") else "not_json")
