"""Users, passwords, tokens and memberships."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import IntegrityError, NotFoundError, UsageError
from catalog.opsdb.accounts import AccountService
from catalog.opsdb.models import ApiToken, ObservingProgram, Permission, Role, User, role_permission

PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(observed: Database) -> AccountService:
    """Of a catalog with two roles and a programme."""
    with observed.begin() as connection:
        for name, permissions in (
            ("viewer", ["read:observations"]),
            ("staff", ["read:observations", "read:unreleased"]),
        ):
            role = connection.execute(sa.insert(Role).values(name=name).returning(Role.id)).scalar_one()
            for permission in permissions:
                action, _, resource = permission.partition(":")
                known = connection.scalar(
                    sa.select(Permission.id).where(Permission.action == action, Permission.resource == resource)
                )
                made = sa.insert(Permission).values(action=action, resource=resource).returning(Permission.id)
                key = known or connection.execute(made).scalar_one()
                connection.execute(sa.insert(role_permission).values(role_id=role, permission_id=key))
    return AccountService(observed)


@pytest.fixture
def programme(observed: Database, accounts: AccountService) -> str:
    with observed.engine.connect() as connection:
        found = connection.scalar(sa.select(ObservingProgram.short_name).limit(1))
    assert found is not None
    return str(found)


@pytest.mark.parametrize("name", ["clara\0", "\0", "\ud800", "clara\n"])
def test_a_name_that_no_database_takes_is_nobodys(accounts: AccountService, name: str) -> None:
    accounts.add_user("clara")
    accounts.set_password("clara", PASSWORD)
    assert accounts.by_password(name, PASSWORD) is None
    assert accounts.by_name(name) is None
    assert accounts.by_subject(name, roles=frozenset(), may_be_created=False) is None


def test_a_user_logs_in_by_a_password(accounts: AccountService, programme: str) -> None:
    assert not accounts.is_offered()
    accounts.add_user("clara", full_name="C. Example", email="clara@ccat.example", roles=["viewer", "viewer"])
    assert not accounts.is_offered()
    assert accounts.by_password("clara", "") is None
    accounts.set_password("clara", PASSWORD)
    accounts.set_member("clara", programme, held=True, is_pi=True)

    assert accounts.is_offered()
    found = accounts.by_password("clara", PASSWORD)
    assert found is not None
    assert (found.username, found.roles, found.permissions) == ("clara", {"viewer"}, {"read:observations"})
    assert len(found.programmes) == 1
    assert accounts.by_name("clara") == found
    for name, wrong in (("clara", PASSWORD + " "), ("clara", ""), ("Clara", PASSWORD), ("nobody", PASSWORD)):
        assert accounts.by_password(name, wrong) is None
    assert accounts.by_password("clara", "x" * 10_000_000) is None
    [_, user] = accounts.users()
    assert (user.username, user.has_password, user.active, user.roles) == ("clara", True, True, ("viewer",))


def test_roles_are_listed_with_what_they_allow(accounts: AccountService, observed: Database) -> None:
    with observed.begin() as connection:
        connection.execute(sa.insert(Role).values(name="nobody"))
    assert [(role.name, role.permissions) for role in accounts.roles()] == [
        ("nobody", ()),
        ("staff", ("read:observations", "read:unreleased")),
        ("viewer", ("read:observations",)),
    ]


def test_who_is_kept_out_stays_out_with_every_token(accounts: AccountService) -> None:
    accounts.add_user("clara")
    accounts.set_password("clara", PASSWORD)
    token = accounts.create_token("clara", "notebook")
    accounts.set_active("clara", False)
    assert (accounts.by_password("clara", PASSWORD), accounts.by_token(token), accounts.by_name("clara")) == (None,) * 3
    assert not accounts.is_offered()
    accounts.set_active("clara", True)
    assert accounts.by_token(token) is not None
    accounts.set_password("clara", None)
    assert accounts.by_password("clara", PASSWORD) is None


def test_neither_passwords_nor_tokens_are_kept(accounts: AccountService, observed: Database) -> None:
    accounts.add_user("clara")
    accounts.set_password("clara", PASSWORD)
    token = accounts.create_token("clara", "notebook")
    with observed.engine.connect() as connection:
        kept = str(
            connection.execute(sa.select(User.__table__)).all()
            + connection.execute(sa.select(ApiToken.__table__)).all()
        )
    assert PASSWORD not in kept
    assert token not in kept
    assert token[:8] in kept
    assert "$argon2id$" in kept


def test_tokens_have_scopes_an_end_and_can_be_revoked(accounts: AccountService, observed: Database) -> None:
    accounts.add_user("clara", roles=["staff"])
    narrow = accounts.create_token("clara", "narrow", scopes=["read:observations"], lifetime=timedelta(days=1))
    wide = accounts.create_token("clara", "wide")
    found = accounts.by_token(narrow)
    assert found is not None
    assert found.permissions == {"read:observations"}
    full = accounts.by_token(wide)
    assert full is not None
    assert full.permissions == {"read:observations", "read:unreleased"}
    assert accounts.by_token(wide[:-1]) is None
    assert accounts.by_token("") is None
    assert accounts.by_token("\0" * 100) is None

    accounts.revoke_token(wide[:8])
    accounts.revoke_token(wide[:8])
    assert accounts.by_token(wide) is None
    with observed.begin() as connection:
        connection.execute(sa.update(ApiToken).values(expires_at=ApiToken.created_at))
    assert accounts.by_token(narrow) is None
    listed = accounts.tokens("clara")
    assert [(token.name, token.revoked_at is None) for token in listed] == [("wide", False), ("narrow", True)]
    assert accounts.tokens() == listed


def test_a_scope_gives_nothing_that_the_user_has_not(accounts: AccountService) -> None:
    accounts.add_user("clara", roles=["viewer"])
    token = accounts.create_token("clara", "greedy", scopes=["read:unreleased"])
    found = accounts.by_token(token)
    assert found is not None
    assert found.permissions == frozenset()
    accounts.set_role("clara", "staff", held=True)
    accounts.set_role("clara", "staff", held=True)
    found = accounts.by_token(token)
    assert found is not None
    assert found.permissions == {"read:unreleased"}
    accounts.set_role("clara", "staff", held=False)
    accounts.set_role("clara", "staff", held=False)
    assert [user.roles for user in accounts.users() if user.username == "clara"] == [("viewer",)]


def test_memberships_come_and_go(accounts: AccountService, programme: str) -> None:
    accounts.add_user("clara")
    accounts.set_member("clara", programme, held=True)
    accounts.set_member("clara", programme, held=True, is_pi=True)
    [member] = accounts.members(programme)
    assert (member.username, member.programme, member.is_pi) == ("clara", programme, True)
    accounts.set_member("clara", programme, held=False)
    accounts.set_member("clara", programme, held=False)
    assert accounts.members() == []


def test_what_cannot_be_done_is_told(accounts: AccountService, programme: str) -> None:
    accounts.add_user("clara")
    for name in ("", "a b", "a:b", "a/b", "a\n", "ä", "x" * 101):
        with pytest.raises(UsageError, match="is no name of a user"):
            accounts.add_user(name)
    with pytest.raises(IntegrityError, match="there is a user clara already"):
        accounts.add_user("clara")
    with pytest.raises(NotFoundError, match="no role boss; expected one of staff, viewer"):
        accounts.add_user("david", roles=["boss"])
    assert [user.username for user in accounts.users()] == ["ada", "clara"]
    for short in ("", "eleven char", "x" * 1001):
        with pytest.raises(UsageError, match="a password has 12 to 1,000 characters"):
            accounts.set_password("clara", short)
    for call in (
        lambda: accounts.set_password("david", PASSWORD),
        lambda: accounts.set_active("david", True),
        lambda: accounts.set_member("david", programme, held=True),
        lambda: accounts.tokens("david"),
        lambda: accounts.create_token("david", "x"),
    ):
        with pytest.raises(NotFoundError, match="there is no user david"):
            call()
    with pytest.raises(NotFoundError, match="there is no programme Nothing"):
        accounts.set_member("clara", "Nothing", held=True)
    with pytest.raises(
        NotFoundError, match="no permission eat:cake; expected one of read:observations, read:unreleased"
    ):
        accounts.create_token("clara", "x", scopes=["eat:cake"])
    with pytest.raises(UsageError, match="a token has a name"):
        accounts.create_token("clara", " ")
    with pytest.raises(UsageError, match="valid for some time"):
        accounts.create_token("clara", "x", lifetime=timedelta(0))
    with pytest.raises(NotFoundError, match="no token begins with 'ffffffff'"):
        accounts.revoke_token("ffffffff")


def test_an_unknown_name_takes_as_long_as_a_wrong_password(accounts: AccountService) -> None:
    """Within a wide factor: without the comparison it would be a hundredth."""
    accounts.add_user("clara")
    accounts.set_password("clara", PASSWORD)
    accounts.by_password("nobody", "x")

    def least(name: str) -> float:
        times = []
        for _ in range(5):
            start = time.thread_time()
            accounts.by_password(name, "x")
            times.append(time.thread_time() - start)
        return min(times)

    assert least("nobody") > least("clara") / 10


def test_memberships_count_for_a_token_that_may_read(accounts: AccountService, programme: str) -> None:
    accounts.add_user("clara", roles=["staff"])
    accounts.set_member("clara", programme, held=True)
    for scopes, members in (((), 1), (("read:observations",), 1), (("read:unreleased",), 0)):
        found = accounts.by_token(accounts.create_token("clara", "script", scopes=scopes))
        assert found is not None
        assert len(found.programmes) == members
        assert found.scopes == (frozenset(scopes) or None)
        assert accounts.by_name("clara", scopes=found.scopes) == found


def test_roles_that_a_credential_vouches_for_count_beside_those_of_the_user(accounts: AccountService) -> None:
    accounts.add_user("clara", roles=["viewer"])
    found = accounts.by_name("clara", roles=frozenset({"viewer", "staff", "nobody's"}))
    assert found is not None
    assert found.roles == {"viewer", "staff"}
    assert found.permissions == {"read:observations", "read:unreleased"}
    assert found.claimed_roles == {"staff"}
    narrow = accounts.by_name("clara", roles=frozenset({"staff"}), scopes=frozenset({"read:observations"}))
    assert narrow is not None
    assert narrow.permissions == {"read:observations"}
    plain = accounts.by_name("clara")
    assert plain is not None
    assert (plain.roles, plain.claimed_roles, plain.scopes) == ({"viewer"}, frozenset(), None)
