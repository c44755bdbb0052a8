"""Links of packages that lie somewhere: what can be fetched, by whom, and what is said of what cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest
import sqlalchemy as sa
from stored import DARK, DISK, LONG, OTHER, PACKAGES, PROCESSING, S3, SECOND, TAPE, Stored

from catalog import Catalog, Settings, open_catalog
from catalog.access import ANONYMOUS, Caller
from catalog.datalink.links import DUPLICATE, PART
from catalog.datalink.rows import file_url
from catalog.errors import NotFoundError
from catalog.opsdb.models import RawDataFile, RawDataPackage, RawDataPackageMetadata
from catalog.wiring import as_caller

Rows = list[dict[str, Any]]
BASE = "https://data.example"


@pytest.fixture
def opened(stored: Stored) -> Iterator[Catalog]:
    """The observatory as its settings say; where the files lie in the tars is recorded, as if those had been read."""
    with open_catalog(stored.settings()) as catalog:
        with catalog.session() as session:
            session.execute(sa.update(RawDataFile).values(tar_offset=512))
            session.commit()
        yield catalog


def with_settings(stored: Stored, **sections: dict[str, Any]) -> Settings:
    return Settings.model_validate(stored.settings().model_dump() | sections)


def caller(catalog: Catalog, who: str | None) -> Caller:
    if who is None:
        return ANONYMOUS
    account = catalog.accounts.by_name(who)
    assert account is not None
    return as_caller(account)


def links(catalog: Catalog, *ids: str, who: str | None = None) -> Rows:
    rows: Rows = catalog.datalink.links(ids, base_url=BASE, caller=caller(catalog, who)).read_all().to_pylist()
    for row in rows:
        assert [row[name] is None for name in ("access_url", "service_def", "error_message")].count(False) == 1
    return rows


def of(rows: Rows, semantics: str) -> Rows:
    return [row for row in rows if row["semantics"] == semantics]


def test_first_comes_the_package_from_the_best_copy(stored: Stored, opened: Catalog) -> None:
    content = stored.content("open")
    this = links(opened, stored.did("open"))[0]
    assert (this["semantics"], this["local_semantics"]) == ("#this", "package")
    assert this["access_url"] == f"{BASE}/files/{stored.id('open')}"
    assert (this["content_type"], this["content_length"]) == ("application/x-tar", len(content))
    assert this["checksum_algorithm"] == "sha256"
    assert (this["link_auth"], this["link_authorized"]) == ("false", True)


def test_then_every_copy_in_the_order_of_preference(stored: Stored, opened: Catalog) -> None:
    copies = of(links(opened, stored.did("open")), DUPLICATE)
    places = [DISK, S3, SECOND, TAPE]
    assert [row["local_semantics"] for row in copies] == [place.partition("/")[0] for place in places]
    assert [row["priority"] for row in copies] == [1, 2, 3, 4]
    assert [row["medium"] for row in copies] == ["disk", "s3", "disk", "tape"]
    assert [row["latency"] for row in copies] == ["online", "online", "online", "nearline"]
    assert [row["region"] for row in copies] == ["europe", "america", "chile", "europe"]
    assert [row["site"] for row in copies] == ["Cologne", "Cornell", "Ccat", "Cologne"]
    assert [row["protocol"] for row in copies] == ["https", "https", "https", None]
    assert [row["verification"] for row in copies] == ["ok", "ok", "never", "ok"]
    assert [row["verified_at"] is None for row in copies] == [False, False, True, False]
    assert {row["copy_status"] for row in copies} == {"present"}
    for place, row in zip(places[:3], copies, strict=False):
        assert row["access_url"] == f"{BASE}/files/{stored.id('open')}?copy={stored.copy_id('open', place)}"
        assert row["content_length"] == len(stored.content("open"))
    copies = of(links(opened, stored.did("other")), DUPLICATE)
    assert [row["local_semantics"] for row in copies] == [OTHER.partition("/")[0]]


def test_what_lies_on_tape_says_how_long_it_takes_and_how_to_ask(stored: Stored, opened: Catalog) -> None:
    this, copy, *others = links(opened, stored.did("tape"))
    url = f"{BASE}/files/{stored.id('tape')}"
    how = f"to have it staged, which takes about 2 hours, log in and send a POST to {url}"
    where = "copies are kept at Cologne (long-term archive, tape, verified)"
    assert this["error_message"] == f"TransientFault: the package lies on tape; {how}; {where}"
    assert copy["error_message"] == f"TransientFault: it lies on tape and has to be staged first; {how}"
    assert (copy["latency"], copy["medium"], copy["local_semantics"]) == ("nearline", "tape", "cologne")
    assert {row["semantics"] for row in others} == {"#auxiliary"}


@pytest.mark.parametrize(("seconds", "words"), [(20, "1 minute"), (600, "10 minutes"), (40_000, "11 hours")])
def test_expected_wait_is_what_the_settings_say(stored: Stored, seconds: int, words: str) -> None:
    stored.files["staging_wait_s"] = seconds
    with open_catalog(stored.settings()) as catalog:
        assert f"which takes about {words}, log in" in links(catalog, stored.did("tape"))[0]["error_message"]


def test_without_staging_there_is_somebody_to_ask(stored: Stored) -> None:
    del stored.files["staging_location"]
    settings = with_settings(stored, publication={"contact": "archive@data.example"})
    with open_catalog(settings) as catalog:
        this, copy, *_ = links(catalog, stored.did("tape"))
    assert this["error_message"].startswith("DefaultFault: the package is not served over the network; copies are kept")
    assert copy["error_message"] == (
        "TransientFault: it lies on tape and has to be staged first, which this service cannot be asked for; "
        "to get it, ask archive@data.example"
    )


def test_what_is_out_of_service_comes_back(stored: Stored) -> None:
    stored.files["avoid"] = "cornell"
    with open_catalog(stored.settings()) as catalog:
        this, copy, *_ = links(catalog, stored.did("objects"))
        assert this["error_message"].startswith("TransientFault: the package cannot be fetched now, try again later; ")
        assert this["error_message"].endswith("at Cornell (long-term archive, s3, verified, out of service)")
        assert copy["error_message"] == "TransientFault: its location is out of service now; try again later"
        assert copy["latency"] == "offline"
        assert links(catalog, stored.did("open"))[0]["access_url"] is not None


def test_what_is_not_served_and_what_is_lost_are_told_apart(stored: Stored, opened: Catalog) -> None:
    assert DARK not in stored.files["locations"]
    this, copy, *_ = links(opened, stored.did("dark"))
    assert this["error_message"].startswith("DefaultFault: the package is not served over the network; copies are kept")
    assert copy["error_message"] == "DefaultFault: it is not served over the network"
    lost = links(opened, stored.did("lost"))
    assert lost[0]["error_message"] == "NotFoundFault: no copy of the package remains"
    assert of(lost, DUPLICATE) == of(lost, PART) == []


def test_a_damaged_copy_is_told_and_another_serves(stored: Stored, opened: Catalog) -> None:
    stored.set_copy("open", DISK, verification="mismatch")
    rows = links(opened, stored.did("open"))
    assert rows[0]["access_url"] is not None
    assert [row["medium"] for row in of(rows, DUPLICATE)] == ["s3", "disk", "tape", "disk"]
    assert of(rows, DUPLICATE)[-1]["error_message"] == "NotFoundFault: it was found damaged"


def test_files_are_links_with_sizes_and_checksums(stored: Stored, opened: Catalog) -> None:
    files = of(links(opened, stored.did("open")), PART)
    members = stored.members("open")
    begin = f"{BASE}/files/{stored.id('open')}/"
    found = {unquote(row["access_url"].removeprefix(begin)): row["content_length"] for row in files}
    assert found == {path: len(content) for path, content in members.items()}
    assert list(found) == sorted(found)
    assert f"{begin}{quote('open/' + LONG)}" in {row["access_url"] for row in files}
    assert {row["checksum_algorithm"] for row in files} == {"sha256"}
    assert all(row["access_url"].isascii() and " " not in row["access_url"] for row in files)


def test_more_files_than_can_be_links_are_left_to_the_manifest(stored: Stored, opened: Catalog) -> None:
    with opened.session() as session:
        package = session.get_one(RawDataPackage, stored.id("open"))
        given = len(package.files)
        for number in range(1_000 - given):
            package.files.append(a_file(package, number))
        session.commit()
        rows = links(opened, stored.did("open"), stored.did("objects"))
        assert len([row for row in of(rows, PART) if row["ID"] == stored.did("open")]) == 1_000
        package.files.append(a_file(package, 1_000))
        session.commit()
    rows = links(opened, stored.did("open"), stored.did("objects"))
    assert {row["ID"] for row in of(rows, PART)} == {stored.did("objects")}
    [manifest] = [row for row in rows if row["local_semantics"] == "manifest" and row["ID"] == stored.did("open")]
    assert manifest["description"].startswith("Manifest: the 1,001 files in the package, ")
    assert manifest["description"].endswith(", which are too many to be links of their own")
    listed = opened.manifests.files(stored.did("open"), base_url=BASE)[0].read_all()
    assert listed.num_rows == 1_001


def a_file(package: RawDataPackage, number: int) -> RawDataFile:
    name, module = f"{number:05}.fits", package.instrument_module_id
    return RawDataFile(
        id=uuid4(), name=name, relative_path=f"more/{name}", instrument_module_id=module, size_bytes=1, tar_offset=1
    )


def test_files_that_cannot_be_had_alone_are_no_links(stored: Stored, opened: Catalog) -> None:
    names = [name for name in PACKAGES if of(links(opened, stored.did(name)), PART)]
    assert names == ["open", "secret", "objects"]
    with opened.session() as session:
        path = next(iter(stored.members("open")))
        session.execute(sa.update(RawDataFile).where(RawDataFile.relative_path == path).values(tar_offset=None))
        session.commit()
    assert of(links(opened, stored.did("open")), PART) == []
    listed = opened.manifests.files(stored.did("open"), base_url=BASE)[0].read_all().to_pylist()
    assert [row["access_url"] for row in listed] == [None] * 4


@pytest.mark.parametrize("path", ["", "/a", "a//b", "../a", "a/..", "a/./b", "a/"])
def test_a_path_that_no_url_can_say_has_none(path: str) -> None:
    assert file_url(BASE, "x", path) is None


def test_a_path_is_said_whatever_is_in_it() -> None:
    assert file_url(BASE, "x", "a b/..c/?#%&+;é\n") == f"{BASE}/files/x/a%20b/..c/%3F%23%25%26%2B%3B%C3%A9%0A"


def test_manifest_and_records_describe_and_are_open(stored: Stored, opened: Catalog) -> None:
    rows = of(links(opened, stored.did("secret")), "#auxiliary")
    did = quote(stored.did("secret"), safe="")
    assert [row["access_url"] for row in rows] == [
        f"{BASE}/datalink/manifest?ID={did}",
        f"{BASE}/datalink/record?ID={did}&RESPONSEFORMAT=votable",
        f"{BASE}/datalink/record?ID={did}&RESPONSEFORMAT=json",
    ]
    assert rows[0]["description"] == "Manifest: the 4 files in the package, with sizes and checksums"
    assert {(row["link_auth"], row["link_authorized"]) for row in rows} == {("false", True)}


@pytest.mark.parametrize(("who", "may"), [(None, False), ("bob", False), ("alice", True), ("sam", True)])
def test_links_say_beforehand_who_may_fetch(stored: Stored, opened: Catalog, who: str | None, may: bool) -> None:
    rows = links(opened, stored.did("secret"), stored.did("open"), who=who)
    for row in rows:
        is_secret = row["ID"] == stored.did("secret")
        if row["semantics"] in ("#this", DUPLICATE, PART):
            assert (row["link_auth"], row["link_authorized"]) == (("true", may) if is_secret else ("false", True))
    assert len(of(rows, PART)) == 8
    assert rows[0]["access_url"] == f"{BASE}/files/{stored.id('secret')}"


def test_what_is_secure_is_for_those_who_log_in(stored: Stored, opened: Catalog) -> None:
    with opened.session() as session:
        session.add(RawDataPackageMetadata(raw_data_package_id=stored.id("open"), data_rights="secure"))
        session.commit()
    for who in (None, "bob"):
        this = links(opened, stored.did("open"), who=who)[0]
        assert (this["link_auth"], this["link_authorized"]) == ("true", who is not None)


@pytest.mark.parametrize(("who", "sees"), [(None, False), ("bob", False), ("alice", True), ("sam", True)])
def test_hidden_package_is_an_unknown_identifier(stored: Stored, who: str | None, sees: bool) -> None:
    with open_catalog(with_settings(stored, access={"hide_unreleased": True})) as catalog:
        hidden, unknown = stored.did("secret"), stored.did("no such package")
        rows = links(catalog, hidden, unknown, stored.did("open"), who=who)
        mine = [row for row in rows if row["ID"] == hidden]
        (other,) = [row for row in rows if row["ID"] == unknown]
        if sees:
            assert mine[0]["access_url"] == f"{BASE}/files/{stored.id('secret')}"
            assert {row["link_auth"] for row in mine} == {"true"}
        else:
            assert mine == [{name: _said_of(value, unknown, hidden) for name, value in other.items()}]
            with pytest.raises(NotFoundError):
                catalog.manifests.files(hidden, base_url=BASE, caller=caller(catalog, who))
        assert rows[-1]["ID"] == stored.did("open")


def _said_of(value: Any, one: str, other: str) -> Any:
    return value.replace(one, other) if isinstance(value, str) else value


def test_manifest_lists_the_files_and_names_the_package(stored: Stored, opened: Catalog) -> None:
    stream, infos = opened.manifests.files(stored.did("open"), base_url=BASE)
    rows = stream.read_all().to_pylist()
    members = stored.members("open")
    assert {row["path_in_package"]: row["size_bytes"] for row in rows} == {k: len(v) for k, v in members.items()}
    for row in rows:
        assert row["access_url"] == f"{BASE}/files/{stored.id('open')}/{quote(row['path_in_package'])}"
    facts = {info.name: info.value for info in infos}
    assert facts["obs_publisher_did"] == stored.did("open")
    assert facts["size_bytes"] == str(len(stored.content("open")))
    rows = opened.manifests.files(stored.did("tape"), base_url=BASE)[0].read_all().to_pylist()
    assert [row["access_url"] for row in rows] == [None] * len(members)


def test_nothing_of_places_is_told(stored: Stored, opened: Catalog) -> None:
    told = str(links(opened, *(stored.did(name) for name in ("open", "secret", "other", "tape", "dark"))))
    for inside in (str(stored.folder), stored.s3, stored.prefix, "127.0.0.1", "/srv", "fyst-raw", "unrelated", "/tape"):
        assert inside not in told
    assert PROCESSING not in told
