"""Brazilian documents, codes and phones: CPF, CNPJ, CEP, UF, phone numbers, each stored in one form.

Documents are held to their check digits; what a spreadsheet lost is put back only where they prove it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask
from import_pipeline.catalog.rules import BRAZILIAN_STATES
from import_pipeline.flow.checks.parsing import FaultCollector, How, Parsed, is_written
from import_pipeline.flow.checks.text import empty_as_null, looked_up

CPF_DIGITS = 11
CNPJ_CHARACTERS = 14
CEP_DIGITS = 8
# From how many digits on a number's check digits are taken for proof that only zeros are missing.
FEWEST_DIGITS = 8
_CPF = r"^\d{3}[ .]?\d{3}[ .]?\d{3}[ ./–-]?\d{2}$"
_CNPJ = r"^[A-Z0-9]{2}[ .]?[A-Z0-9]{3}[ .]?[A-Z0-9]{3}[ /]?[A-Z0-9]{4}[ –-]?\d{2}$"
# No CEP is below 01000-000 (Correios).
_CEP = r"^(?:0[1-9]|[1-9]\d)[ .]?\d{3}[ –-]?\d{3}$"
_CEP_SHORT = r"^[1-9]\d{3}[ –-]?\d{3}$"
_MARKS = r"[^A-Z0-9]"
CPF_WEIGHTS = np.arange(11, 1, -1)
CNPJ_WEIGHTS = np.array([6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
# Anatel's area codes, and what may follow them: nine digits of a mobile, eight of a fixed line.
_AREA = r"(?:1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])"
_BRAZILIAN_PHONE = rf"^(?:(?:\+|00)?55)?0?({_AREA}(?:9\d{{8}}|[2-5]\d{{7}}))$"
_BRAZILIAN_SERVICE = r"^(?:0|(?:\+|00)550?)([389]00\d{6,7})$"
_PHONE_MARKS = "[ \t().\u00a0\u2007\u202f\u2010-\u2015-]"
_BRAZILIAN = r"^(?:\+|00)55"
# ITU-T E.164: at most 15 digits with the country's code.
_FOREIGN_PHONE = r"^(?:\+|00)([1-9]\d{6,14})$"
STATE_NAMES = {
    "Acre": "AC", "Alagoas": "AL", "Amazonas": "AM", "Amapá": "AP", "Bahia": "BA", "Ceará": "CE",
    "Distrito Federal": "DF", "Espírito Santo": "ES", "Goiás": "GO", "Maranhão": "MA",
    "Minas Gerais": "MG", "Mato Grosso do Sul": "MS", "Mato Grosso": "MT", "Pará": "PA", "Paraíba": "PB",
    "Pernambuco": "PE", "Piauí": "PI", "Paraná": "PR", "Rio de Janeiro": "RJ", "Rio Grande do Norte": "RN",
    "Rondônia": "RO", "Roraima": "RR", "Rio Grande do Sul": "RS", "Santa Catarina": "SC", "Sergipe": "SE",
    "São Paulo": "SP", "Tocantins": "TO",
}  # fmt: skip


def parse_cpf(cells: pa.Array, how: How) -> Parsed:
    """CPF as 11 digits, written with or without marks.

    Two check digits, modulo 11 with weights 2 to 11 from the right (Receita Federal, Instrução
    Normativa RFB 2.172/2024); eleven equal digits are none. A number cell that has lost zeros at its
    beginning is filled up where its check digits hold.

    Faults: `lost_zeros` (text that would be one with zeros before it), `not_a_cpf`.
    """
    shaped = as_mask(pc.match_substring_regex(cells, _CPF))
    return _documents(cells, shaped, CPF_DIGITS, CPF_WEIGHTS, "not_a_cpf", how)


def parse_cnpj(cells: pa.Array, how: How) -> Parsed:
    """CNPJ as 14 characters, written with or without marks; letters in capitals.

    Since July 2026 the first twelve characters may be letters: each counts as its ASCII code less 48,
    digits as themselves; two numeric check digits, modulo 11, weights 2 to 9 from the right (Receita
    Federal, Instrução Normativa RFB 2.229/2024, annex XV). A number cell that has lost zeros is filled up
    where its check digits hold.

    Faults: `lost_zeros`, `not_a_cnpj`.
    """
    text = pc.utf8_upper(cells)
    shaped = as_mask(pc.match_substring_regex(text, _CNPJ))
    return _documents(text, shaped, CNPJ_CHARACTERS, CNPJ_WEIGHTS, "not_a_cnpj", how)


def parse_cep(cells: pa.Array, how: How) -> Parsed:
    """CEP as eight digits; it has no check digits, so lost zeros are never put back.

    Faults: `lost_zeros`, `not_a_cep`.
    """
    shaped = as_mask(pc.match_substring_regex(cells, _CEP))
    found = FaultCollector(len(cells))
    wrong = is_written(cells) & ~shaped
    if wrong.any():
        found.add("lost_zeros", wrong & as_mask(pc.match_substring_regex(cells, _CEP_SHORT)), str(CEP_DIGITS))
        found.add("not_a_cep", wrong)
    return found.parsed(empty_as_null(pc.replace_substring_regex(cells, r"\D", "")))


def parse_uf(cells: pa.Array, how: How) -> Parsed:
    """The two capital letters of a Brazilian state or the Federal District; its name is read too.

    Fault: `not_a_uf`.
    """
    text = pc.utf8_upper(cells)
    known = as_mask(pc.is_in(text, value_set=pa.array(BRAZILIAN_STATES)))
    found = FaultCollector(len(text))
    rest = np.flatnonzero(is_written(text) & ~known)
    if rest.size:
        by_name = looked_up(text.take(pa.array(rest)), STATE_NAMES)
        chosen = np.zeros(len(text), dtype=bool)
        chosen[rest] = True
        text = pc.replace_with_mask(text, pa.array(chosen), by_name)
        found.add("not_a_uf", chosen & ~as_mask(pc.is_valid(text)))
    return found.parsed(empty_as_null(text))


def parse_phone(cells: pa.Array, how: How) -> Parsed:
    """Phone numbers in the form of E.164, `+5511987654321`.

    Brazilian ones with their area code, with or without +55 and trunk 0: mobiles of nine digits that
    begin with 9, fixed lines of eight, 0800 and the like. Others need + (or 00) and the country's
    code. An area code or a ninth digit is never guessed.

    Fault: `not_a_phone`.
    """
    compact = pc.replace_substring_regex(cells, _PHONE_MARKS, "")
    stored = pa.nulls(len(cells), pa.string())
    abroad = pc.and_not(_matches(compact, _FOREIGN_PHONE), _matches(compact, _BRAZILIAN))
    for where, pattern, start in (
        (abroad, _FOREIGN_PHONE, "+"),
        (_matches(compact, _BRAZILIAN_SERVICE), _BRAZILIAN_SERVICE, "+55"),
        (_matches(compact, _BRAZILIAN_PHONE), _BRAZILIAN_PHONE, "+55"),
    ):
        stored = pc.if_else(where, pc.replace_substring_regex(compact, pattern, start + r"\1"), stored)
    found = FaultCollector(len(cells))
    found.add("not_a_phone", is_written(cells) & ~as_mask(pc.is_valid(stored)))
    return found.parsed(stored)


def _documents(
    text: pa.Array, shaped: np.ndarray, size: int, weights: np.ndarray, code: str, how: How
) -> Parsed:
    """Documents without their marks, held to their check digits."""
    bare = pc.replace_substring_regex(text, _MARKS, "")
    short = as_mask(pc.match_substring_regex(text, rf"^\d{{{FEWEST_DIGITS},{size - 1}}}$"))
    if short.any():
        bare = pc.if_else(pa.array(short), pc.utf8_lpad(text, size, "0"), bare)
    proven = _check_digits_hold(bare, shaped | short, weights)
    found = FaultCollector(len(text))
    if short.any() and not how.typed:
        found.add("lost_zeros", proven & short, str(size))
    found.add(code, is_written(text) & ~proven)
    return found.parsed(empty_as_null(bare))


def _check_digits_hold(texts: pa.Array, where: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which of the texts at `where`, all as long as the weights and one more, end in their check digits."""
    holds = np.zeros(len(texts), dtype=bool)
    places = np.flatnonzero(where)
    size = len(weights) + 1
    chosen = texts.take(pa.array(places))
    if not places.size:
        return holds
    _, offsets, data = chosen.buffers()
    start = np.frombuffer(offsets, np.int32)[chosen.offset]
    codes = np.frombuffer(data, np.uint8)[start : start + size * len(chosen)].reshape(-1, size)
    values = codes.astype(np.int64) - ord("0")
    first = _check_digit(values[:, : size - 2], weights[1:])
    second = _check_digit(values[:, : size - 1], weights)
    right = (values[:, size - 2] == first) & (values[:, size - 1] == second)
    holds[places] = right & (values != values[:, :1]).any(axis=1)
    return holds


def _check_digit(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """11 less the remainder of the weighted sum; 0 for a remainder of 0 or 1."""
    digit = 11 - values @ weights % 11
    return np.asarray(np.where(digit > 9, 0, digit))


def _matches(text: pa.Array, pattern: str) -> pa.Array:
    return pc.fill_null(pc.match_substring_regex(text, pattern), False)
