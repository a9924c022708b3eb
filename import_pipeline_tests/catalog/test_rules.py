import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest

from import_pipeline.catalog.rules import describe_check, next_year


def _passes(check: pandera.Check, *values: object, kind: pa.DataType | None = None) -> list[bool]:
    series = pd.Series(pa.array(values, kind or pa.string()), dtype=pd.ArrowDtype(kind or pa.string()))
    return [bool(v) for v in check(series).check_output]


@pytest.mark.parametrize(
    "address",
    ["a@b.co", "joao.silva+x@empresa.com.br", "JOÃO@exemplo.com", "a_b@sub.dominio.org", "x@ação.com.br",
     "o'brien@site.io", "x@xn--ao-8ka0a.com"],
)  # fmt: skip
def test_addresses_as_people_have_them_pass(address):
    assert _passes(pandera.Check.is_email(True), address) == [True]


@pytest.mark.parametrize(
    "address",
    ["joao", "joao@", "@x.com", "a@b", "a b@c.com", "a@@b.com", "a@b..com", ".a@b.com", "a.@b.com",
     "a@-b.com", "a@b.c", "a@b.com,c@d.com", "a@b.com\n", "<a@b.com>", "a@b.com.", "x" * 250 + "@b.com"],
)  # fmt: skip
def test_what_is_no_address_fails(address):
    assert _passes(pandera.Check.is_email(True), address) == [False]


def test_an_address_of_another_script_beside_them_changes_nothing_for_addresses_in_ascii():
    frames = ("{}@b.com", "a{}b@c.com", "a@{}b.com", "a@b{}c.com", "a@b{}.com", "a@b.c{}m", "a@b.xn--{}")
    addresses = [frame.format(chr(code)) for frame in frames for code in range(0x80)]
    alone = _passes(pandera.Check.is_email(True), *addresses)
    assert alone == _passes(pandera.Check.is_email(True), *addresses, "joão@exemplo.com")[:-1]
    assert 100 < sum(alone) < len(alone) - 100


def test_a_state_is_one_of_27_pairs_of_capitals():
    assert _passes(pandera.Check.is_uf(True), "SP", "DF", "sp", "XX", "São Paulo") == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_a_plate_is_mercosul_or_the_older_form():
    plates = ("ABC1D23", "ABC1234", "ABC12D3", "AB1234", "ABC12345", "abc1234", "1BC1234")
    assert _passes(pandera.Check.is_plate(True), *plates) == [True, True, False, False, False, False, False]


def test_next_years_model_is_allowed_and_the_one_after_is_not():
    check = pandera.Check.not_after_next_year(True)
    assert _passes(check, next_year(), next_year() + 1, kind=pa.int64()) == [True, False]


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (pandera.Check.ge(1900), ("out_of_range", "at least 1900")),
        (pandera.Check.gt(0), ("out_of_range", "greater than 0")),
        (pandera.Check.in_range(1, 5, include_max=False), ("out_of_range", "at least 1 and less than 5")),
        (pandera.Check.isin(["b", "a"]), ("not_allowed", "Use one of: a, b.")),
        (pandera.Check.str_length(2, 4), ("wrong_length", "2 to 4")),
        (pandera.Check.str_length(max_value=4), ("wrong_length", "at most 4")),
        (pandera.Check(bool, error="no Sundays."), ("check_failed", "no Sundays")),
        (pandera.Check(bool, name="is_weekday"), ("check_failed", "is weekday")),
    ],
)
def test_each_check_has_a_code_and_words(check, told):
    assert describe_check(check) == told
