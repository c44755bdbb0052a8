"""The same questions asked of both engines, which must answer alike (corpus/answers.adql, vo_resources/examples)."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import astropy.io.votable
import pytest
import yaml

from catalog.assets import read_asset
from catalog.formats.encoder import encode
from catalog.formats.media import parse_format
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


def test_descriptions_reach_the_fields_of_a_votable(services: dict[str, QueryService]) -> None:
    query = """
        WITH w AS (SELECT obs_publisher_did, s_ra AS ra, t_max - t_min AS span, obs_release_date FROM ivoa.obscore)
        SELECT w.obs_publisher_did, w.ra, w.ra, w.span * 86400 AS seconds, MAX(w.obs_release_date), COUNT(*)
        FROM w JOIN fyst.packages USING (obs_publisher_did) GROUP BY 1, 2, 4
        """
    for service in services.values():
        stream = service.run(query, maxrec=5)
        document = b"".join(encode(stream, parse_format("votable")))
        table = astropy.io.votable.parse(io.BytesIO(document)).get_first_table()
        found = [(field.name, field.datatype, str(field.unit or ""), field.ucd, field.xtype) for field in table.fields]
        assert found == [
            ("obs_publisher_did", "char", "", "meta.ref.ivoid", None),
            ("ra", "double", "deg", "pos.eq.ra", None),
            ("ra_2", "double", "deg", "pos.eq.ra", None),
            ("seconds", "double", "d", None, None),
            ("max_obs_release_date", "char", "", "time.release;stat.max", "timestamp"),
            ("count_all", "long", "", "meta.number", None),
        ]
        assert table.fields[1].utype == "obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1"
        assert "right ascension" in str(table.fields[2].description)
        assert len(table.array) == 5
