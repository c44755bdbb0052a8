"""What each part is told by the settings, in the part's own words."""

from __future__ import annotations

from datetime import timedelta

from catalog.access import Caller
from catalog.adql.functions import FORM_DESCRIPTIONS, LANGUAGE_FEATURES
from catalog.datalink.rows import LinkWords
from catalog.formats.media import FORMATS
from catalog.oidc.keys import IssuerKeys
from catalog.oidc.tokens import Issuer, TokenVerifier
from catalog.opsdb.logins import Account
from catalog.opsdb.packaging.plan import PackageLimits
from catalog.opsdb.readable import ReadingRules, Way
from catalog.opsdb.transfers.plan import BundleLimits
from catalog.opsdb.work import RetryRules
from catalog.settings import (
    FileSettings,
    JobSettings,
    OidcSettings,
    PackageSettings,
    PublicationSettings,
    Settings,
    TapSettings,
    TransferSettings,
)
from catalog.tap.query import RowLimits
from catalog.tap.upload import UploadLimits
from catalog.uws.service import JobLimits
from catalog.vo.table import Info
from catalog.vosi import LanguageFeature, OutputFormat, TapCapability, TimeLimit

__all__ = [
    "as_caller",
    "async_limits",
    "bundle_limits",
    "job_limits",
    "link_words",
    "origin",
    "package_limits",
    "reading_rules",
    "retries",
    "tap_capability",
    "token_verifier",
    "upload_limits",
]


def as_caller(account: Account) -> Caller:
    """Who asks, of somebody who has logged in."""
    return Caller(
        account.username,
        account.roles,
        account.permissions,
        account.programmes,
        account.scopes,
        account.claimed_roles,
    )


def origin(publication: PublicationSettings, version: str) -> tuple[Info, ...]:
    """Who publishes, and by what software: said in every table."""
    contact = (Info("contact", publication.contact),) if publication.contact else ()
    return (Info("publisher", publication.publisher), Info("server_software", f"catalog/{version}"), *contact)


def async_limits(settings: TapSettings) -> RowLimits:
    """Rows of a job's result."""
    return RowLimits(settings.async_maxrec_default, settings.async_maxrec_hard)


def upload_limits(settings: TapSettings) -> UploadLimits:
    """What a request may bring along."""
    return UploadLimits(
        settings.upload_limit_bytes,
        settings.upload_limit_rows,
        settings.upload_limit_tables,
        settings.upload_read_s,
    )


def job_limits(settings: JobSettings) -> JobLimits:
    """How long jobs run and are kept, and how many of one caller."""
    return JobLimits(
        duration_default_s=settings.duration_default_s,
        duration_hard_s=settings.duration_hard_s,
        destruction_default_s=settings.destruction_default_s,
        destruction_hard_s=settings.destruction_hard_s,
        jobs_per_caller=settings.jobs_per_caller,
        bytes_per_caller=settings.bytes_per_caller,
    )


def tap_capability(tap: TapSettings, jobs: JobSettings, *, takes_uploads: bool) -> TapCapability:
    """What the capabilities document says of the TAP service; of the two limits on rows what holds for both."""
    maxrec_hard = min(tap.maxrec_hard, tap.async_maxrec_hard)
    return TapCapability(
        output_formats=tuple(OutputFormat(form.media_types[0], form.aliases, form.ivo_id) for form in FORMATS),
        features=tuple(LanguageFeature(kind, forms, FORM_DESCRIPTIONS) for kind, forms in LANGUAGE_FEATURES),
        maxrec_default=min(tap.maxrec_default, tap.async_maxrec_default, maxrec_hard),
        maxrec_hard=maxrec_hard,
        retention=TimeLimit(min(jobs.destruction_default_s, jobs.destruction_hard_s), jobs.destruction_hard_s),
        execution=TimeLimit(min(jobs.duration_default_s, jobs.duration_hard_s), jobs.duration_hard_s),
        upload_bytes=tap.upload_limit_bytes if takes_uploads else None,
    )


def package_limits(settings: PackageSettings) -> PackageLimits:
    """How large a package becomes."""
    return PackageLimits(settings.max_bytes, settings.max_files)


def bundle_limits(settings: TransferSettings) -> BundleLimits:
    """How large a bundle for the network becomes."""
    return BundleLimits(settings.min_bytes, settings.max_bytes, settings.max_packages)


def retries(settings: PackageSettings | TransferSettings) -> RetryRules:
    """How often a step is tried, and when again."""
    return RetryRules(settings.attempts, settings.backoff_s, settings.backoff_max_s)


def link_words(settings: Settings) -> LinkWords:
    """What the links of a package say in words."""
    files = settings.files
    return LinkWords(
        settings.publication.contact,
        files.staging_wait_s if files.staging_location else None,
        frozenset(place for place, location in files.locations.items() if location.url is None),
    )


def reading_rules(settings: FileSettings) -> ReadingRules:
    """Which copies may be read, how, and which is preferred."""
    return ReadingRules(
        ways={
            place: Way.REDIRECT if location.root is None else Way.STREAM
            for place, location in settings.locations.items()
        },
        regions=settings.regions,
        near=settings.near,
        avoid=frozenset(settings.avoid),
        verified_within=timedelta(days=settings.verified_within_days),
    )


def token_verifier(settings: OidcSettings) -> TokenVerifier | None:
    """What reads the tokens of institutes; None when there are none to read."""
    if not settings.issuers:
        return None
    return TokenVerifier(
        [
            Issuer(
                issuer.url,
                issuer.audience,
                IssuerKeys(issuer.url, keys_s=issuer.keys_s, fetch_s=issuer.fetch_s),
                username_claim=issuer.username_claim,
                username_suffix=issuer.username_suffix,
                creates_users=issuer.creates_users,
                roles_claim=issuer.roles_claim,
                roles=issuer.roles,
                leeway_s=issuer.leeway_s,
            )
            for issuer in settings.issuers
        ]
    )
