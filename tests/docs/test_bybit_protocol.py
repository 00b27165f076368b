"""The protocol document equals the code; `python tests/fakes/protocol_tables.py` renews it."""

import pytest
from protocol_tables import DOCUMENT, TABLES, block, unknown_requests

TEXT = DOCUMENT.read_text()


@pytest.mark.parametrize("name", TABLES)
def test_table_of_the_document_is_made_from_the_code(name: str) -> None:
    assert block(TEXT, name) == TABLES[name]()


def test_document_says_what_was_never_run() -> None:
    assert "not run against the live venue" in TEXT.lower()


def test_embedded_venue_answers_everything_the_client_asks() -> None:
    assert unknown_requests() == set()
