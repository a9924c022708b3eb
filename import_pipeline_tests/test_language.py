"""Sentences in English and Portuguese: facts are put in by name, numbers in the language's notation."""

import copy
import pickle

import pytest

from import_pipeline import language, translations
from import_pipeline.language import say, told

PORTUGUESE = {
    "{file} is empty.": "{file} está vazio.",
    "{rows:,} rows ({share:.1%}) in {year}.": "{rows:,} linhas ({share:.1%}) em {year}.",
    "{what}: {why}": "{what}: {why}",
    "at least {value}": "no mínimo {value}",
}


@pytest.fixture
def catalogue(monkeypatch):
    """A catalogue of a few sentences in place of the package's own."""
    monkeypatch.setattr(language, "_translate", lambda language: lambda text: PORTUGUESE.get(text, text))


def test_a_sentence_in_english_is_ready_to_read():
    sentence = told("{rows:,} rows ({share:.1%}) in {year}.", rows=1234567, share=0.0512, year=2026)
    assert sentence == "1,234,567 rows (5.1%) in 2026."
    assert say(sentence, "en") == sentence


def test_a_sentence_is_translated_by_its_template_with_numbers_as_the_language_writes_them(catalogue):
    sentence = told("{rows:,} rows ({share:.1%}) in {year}.", rows=1234567, share=0.0512, year=2026)
    assert say(sentence, "pt") == "1.234.567 linhas (5,1%) em 2026."


def test_facts_that_are_sentences_are_translated_and_lists_are_joined(catalogue):
    sentence = told("{what}: {why}", what=["E-mail", "Nome"], why=told("at least {value}", value=0.5))
    assert sentence == "E-mail, Nome: at least 0.5"
    assert say(sentence, "pt") == "E-mail, Nome: no mínimo 0,5"


def test_a_fact_that_happens_to_be_a_sentence_of_the_catalogue_stays_as_it_is(catalogue):
    """A file may be called anything; only what code said is translated."""
    assert say(told("{file} is empty.", file="at least {value}"), "pt") == "at least {value} está vazio."


def test_text_without_translation_is_said_in_english(catalogue):
    assert say("Nobody translated this: {braces}.", "pt") == "Nobody translated this: {braces}."
    assert say("", "pt") == ""


@pytest.mark.parametrize("crossed", [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy])
def test_a_sentence_that_crossed_a_process_can_still_be_translated(catalogue, crossed):
    assert say(crossed(told("{file} is empty.", file="{x}.csv")), "pt") == "{x}.csv está vazio."


@pytest.mark.parametrize(
    ("template", "value", "english", "portuguese"),
    [
        ("{n:,}", 1234.5, "1,234.5", "1.234,5"),
        ("{n:.2f}", 1234.5, "1234.50", "1234,50"),
        ("{n:,.1f}", 1234.56, "1,234.6", "1.234,6"),
        ("{n:.0%}", 0.9, "90%", "90%"),
        ("{n}", 1048576, "1048576", "1048576"),
        ("{n}", True, "True", "True"),
    ],
)
def test_numbers_are_written_in_each_notation(template, value, english, portuguese):
    sentence = told(template, n=value)
    assert (sentence, say(sentence, "pt")) == (english, portuguese)


@pytest.fixture(scope="module")
def portuguese():
    """The package's catalogue as `make messages` would leave it: two seconds, so made once."""
    return translations.updated("pt")


def test_every_sentence_for_senders_is_translated(portuguese):
    """Run `make messages`, then fill in what lacks in the .po file."""
    lacking = [m.id for m in portuguese if m.id and (not m.string or m.fuzzy)]
    assert lacking == []


def test_translations_have_the_same_facts_as_their_sentences(portuguese):
    wrong = {
        message.id: message.string
        for message in portuguese
        if message.id and message.string and _facts(message.id) != _facts(message.string)
    }
    assert wrong == {}


def _facts(template):
    """Names and specs; a fact may be said twice or in another order, braces may be text."""
    found = language.string.Formatter().parse(template)
    return {(name, spec) for _, name, spec, _ in found if name and name.isidentifier()}


def test_the_catalogue_is_that_of_the_code_and_compiled(portuguese):
    """Run `make messages`."""
    path = translations.catalogue_path("pt")
    assert path.read_text() == translations.written(portuguese).decode()
    assert path.with_suffix(".mo").read_bytes() == translations.compiled(portuguese)


def test_sentences_are_found_in_code_in_codes_and_in_the_page():
    found = {(s.template, s.file) for s in translations.sentences()}
    assert ("the cell is empty.", "codes.py") in found
    assert {"flow/reports/page.html.j2"} < {file for _, file in found}
