"""The rows that say where data lie, how they travel, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from catalog.ingest.synthetic.columns import ColumnBatch, from_records
from catalog.ingest.synthetic.draws import Draws
from catalog.ingest.synthetic.facts import Facts
from catalog.ingest.synthetic.fixed import Now, table

__all__ = ["build_people", "build_storage"]

_TOKEN_LIFE = np.timedelta64(30, "D")


def build_storage(facts: Facts, now: Now) -> Iterator[ColumnBatch]:
    """Sites, locations and routes."""
    sites = [{"id": facts.sites[site["key"]], **site, **now} for site in facts.observatory["sites"]]
    yield from_records(table("site"), sites)
    known: Mapping[str, Mapping[str, Any]] = facts.observatory["locations"]
    locations = [
        {"id": facts.locations[name], "site_id": facts.sites[place["site"]], "storage_type": place["storage"]}
        | {"name": f"synthetic-{name}", "location_type": place["type"]}
        | {"priority": place.get("priority", 90), "active": place.get("active", True), **now}
        for name, place in known.items()
    ]
    yield from_records(table("data_location"), locations)
    kinds = {"disk": ("host", "path"), "s3": ("endpoint", "region", "bucket", "prefix"), "tape": ("library", "path")}
    for kind, columns in kinds.items():
        rows = [
            {"id": facts.locations[name], **{column: place[column] for column in columns}}
            for name, place in known.items()
            if place["storage"] == kind
        ]
        yield from_records(table(f"{kind}_data_location"), rows)
    routes = [_route(facts, route) | now for route in facts.observatory["routes"]]
    yield from_records(table("data_transfer_route"), routes)


def _route(facts: Facts, route: Mapping[str, Any]) -> dict[str, Any]:
    sites = [facts.sites[facts.observatory["locations"][route[end]]["site"]] for end in ("from", "to")]
    relayed = route.get("type") == "relay"
    return {
        "id": facts.routes[route["name"]],
        "name": f"synthetic_{route['name']}",
        "origin_site_id": sites[0],
        "destination_site_id": sites[1],
        "relay_site_id": facts.sites[route["relay"]] if relayed else None,
        "origin_location_id": facts.locations[route["from"]] if relayed else None,
        "destination_location_id": facts.locations[route["to"]] if relayed else None,
        "route_type": route.get("type", "direct"),
        "method": route["method"],
        "active": route.get("active", True),
    }


def build_people(facts: Facts, draws: Draws, now: Now) -> Iterator[ColumnBatch]:
    """Roles, permissions, users, tokens and memberships; nobody of them can log in."""
    written: Mapping[str, list[str]] = facts.observatory["roles"]
    roles = {name: number for number, name in enumerate(written, start=1)}
    names = list(dict.fromkeys(name for granted in written.values() for name in granted))
    permissions = {name: number for number, name in enumerate(names, start=1)}
    yield from_records(table("role"), [{"id": number, "name": name, **now} for name, number in roles.items()])
    rows = [
        {"id": number, "action": name.partition(":")[0], "resource": name.partition(":")[2], **now}
        for name, number in permissions.items()
    ]
    yield from_records(table("permission"), rows)
    granted = [
        {"role_id": roles[role], "permission_id": permissions[name]}
        for role, names in written.items()
        for name in names
    ]
    yield from_records(table("role_permission"), granted)
    yield from _users(facts, roles, now)
    yield _tokens(facts, draws, now)


def _users(facts: Facts, roles: Mapping[str, int], now: Now) -> Iterator[ColumnBatch]:
    users: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    memberships: list[dict[str, Any]] = []
    for number, user in enumerate(facts.observatory["users"], start=1):
        name = user["username"]
        users.append(
            {"id": number, "username": name, "full_name": name.replace("-", " ").title()}
            | {"email": f"{name}@ccat.example", "active": user.get("active", True), **now}
        )
        held.extend({"user_id": number, "role_id": roles[role]} for role in user["roles"])
        belongs = [(short, False) for short in user.get("programs", ())]
        belongs += [(short, True) for short in user.get("pi_of", ())]
        memberships.extend(
            {"user_id": number, "observing_program_id": facts.programs[short], "is_pi": leads, **now}
            for short, leads in belongs
        )
    yield from_records(table("user"), users)
    yield from_records(table("user_role"), held)
    numbered = [{"id": number, **row} for number, row in enumerate(memberships, start=1)]
    yield from_records(table("program_membership"), numbered)


def _tokens(facts: Facts, draws: Draws, now: Now) -> ColumnBatch:
    """Revoked tokens whose hashes are the hashes of nothing."""
    numbers = np.arange(1, len(facts.observatory["users"]) + 1)
    revoked = now["created_at"] + _TOKEN_LIFE
    hashes = draws.digits("token hash", numbers, 64).tolist()
    rows = [
        {"id": number, "user_id": number, "name": "synthetic, revoked", "prefix": f"synth{number:03d}"}
        | {"token_hash": value, "scopes": "read:observations", "expires_at": revoked, "revoked_at": revoked, **now}
        for number, value in zip(numbers.tolist(), hashes, strict=True)
    ]
    return from_records(table("api_token"), rows)
