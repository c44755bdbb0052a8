"""The same questions asked of both engines, which must answer alike (corpus/answers.adql, vo_resources/examples)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from catalog.assets import read_asset
from catalog.tap.query import QueryService
from catalog.vo.units import validate_ucd, validate_unit

CORPUS = Path(__file__).parent / "corpus" / "answers.adql"


class Question(NamedTuple):
    """A query and what is known of its answer."""

    text: str
    empty: bool

    @property
    def ordered(self) -> bool:
        """Whether the rows come in an order."""
        return re.search(r"ORDER BY [^()]*(\([^()]*\)[^()]*)*$", self.text) is not None


QUESTIONS = [
    Question(line.removeprefix("empty | "), line.startswith("empty | "))
    for line in CORPUS.read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
EXAMPLES: list[dict[str, str]] = yaml.safe_load(read_asset("vo_resources", "examples", "obscore.yaml"))


def test_questions_are_many_and_few_of_them_have_no_answer() -> None:
    assert len(QUESTIONS) == len({question.text for question in QUESTIONS}) >= 150
    assert sum(not question.empty for question in QUESTIONS) >= 130


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.text[:90] for question in QUESTIONS])
def test_both_engines_answer_alike(question: Question, answers: Any, same: Any) -> None:
    sqlite, postgresql = answers(question.text)
    assert bool(sqlite) is not question.empty
    assert same(sqlite, postgresql, ordered=question.ordered)


def test_results_are_described_by_legal_units_and_ucds(services: dict[str, QueryService]) -> None:
    for question in QUESTIONS:
        columns = services["sqlite"].resolve(question.text).table.columns
        assert len({column.name.lower() for column in columns}) == len(columns)
        for column in columns:
            validate_unit(column.unit or "")
            if column.ucd is not None:
                validate_ucd(column.ucd)


def test_examples_are_twenty_or_more_with_a_name_and_a_story() -> None:
    assert len(EXAMPLES) >= 20
    for key in ("id", "name", "description", "query"):
        assert len({example[key] for example in EXAMPLES}) == len(EXAMPLES)
    assert all(re.fullmatch(r"[a-z][a-z-]*", example["id"]) for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["id"] for example in EXAMPLES])
def test_an_example_has_rows_alike_on_both_engines(example: dict[str, str], answers: Any, same: Any) -> None:
    sqlite, postgresql = answers(example["query"])
    assert sqlite
    assert same(sqlite, postgresql, ordered="ORDER BY" in example["query"])
