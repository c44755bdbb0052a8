"""Everything that an operator may decide, in frozen sections; `catalog.settings.everything` puts them together."""

from catalog.settings.database import AttachedSettings, DatabaseSettings
from catalog.settings.everything import TOKEN_VARIABLE, Settings, load_settings
from catalog.settings.files import FileSettings
from catalog.settings.holdings import AccessSettings, CopySettings, PackageSettings, TransferSettings
from catalog.settings.oidc import OidcSettings
from catalog.settings.registry import RegistrySettings
from catalog.settings.service import (
    CONE_PATH,
    IMAGES_PATH,
    LINKS_PATH,
    Network,
    PublicationSettings,
    ServiceSettings,
)
from catalog.settings.tap import JobSettings, TapSettings

__all__ = [
    "CONE_PATH",
    "IMAGES_PATH",
    "LINKS_PATH",
    "TOKEN_VARIABLE",
    "AccessSettings",
    "AttachedSettings",
    "CopySettings",
    "DatabaseSettings",
    "FileSettings",
    "JobSettings",
    "Network",
    "OidcSettings",
    "PackageSettings",
    "PublicationSettings",
    "RegistrySettings",
    "ServiceSettings",
    "Settings",
    "TapSettings",
    "TransferSettings",
    "load_settings",
]
