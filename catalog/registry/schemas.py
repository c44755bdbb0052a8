"""Judge documents by the XML schemas of the standards, which lie in a folder: they are others' and not shipped here.

Needs lxml (extra ``schemas``). Schemas refer to each other by addresses; only the names of their files
count, and nothing is fetched.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from catalog.closing import Closing
from catalog.errors import SettingsError

__all__ = ["SchemaSet"]

_FILES = (
    *("OAI-PMH.xsd", "oai_dc.xsd", "RegistryInterface.xsd", "VOResource.xsd", "VODataService.xsd", "VORegistry.xsd"),
    *("TAPRegExt.xsd", "ConeSearch.xsd", "SIA.xsd", "VOSICapabilities.xsd", "VOSIAvailability.xsd"),
)
_LOCATION = re.compile(r'(schemaLocation\s*=\s*")[^"]*?([^"/\s]+\.xsd")')
_TARGET = re.compile(r'targetNamespace\s*=\s*"([^"]+)"')


class SchemaSet(Closing):
    """The schemas of a folder, as one; use ``with``.

    Args:
        folder: Holds ``OAI-PMH.xsd``, ``VOResource.xsd`` and the others by their usual names.

    Raises:
        SettingsError: One is missing, or lxml is.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from lxml import etree
        except ImportError:
            raise SettingsError("judging by schemas needs lxml", hint="pip install 'ccat-catalog[schemas]'") from None
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise SettingsError(f"the folder of schemas lacks {', '.join(missing)}")
        self._etree = etree
        self.namespaces: dict[str, Path] = {}
        """Namespaces and their schemas, which lead to each other: another validator can be given them."""

        self._copies = Path(tempfile.mkdtemp(prefix="catalog-schemas-"))
        try:
            self._schema = etree.XMLSchema(file=str(self._driver(folder)))
        except etree.XMLSchemaParseError as error:
            self.close()
            raise SettingsError(f"the schemas cannot be read: {error}") from None

    def problems(self, document: bytes) -> list[str]:
        """What is wrong with a document, a line each; nothing when it is valid."""
        try:
            tree = self._etree.fromstring(document, self._etree.XMLParser(resolve_entities=False, no_network=True))
        except self._etree.XMLSyntaxError as error:
            return [f"not well-formed: {error}"]
        self._schema.validate(tree)
        entries: Any = self._schema.error_log
        return [f"line {entry.line}: {entry.message}" for entry in entries]

    def close(self) -> None:
        """Remove the copies of the schemas. Safe to repeat."""
        shutil.rmtree(self._copies, ignore_errors=True)

    def _driver(self, folder: Path) -> Path:
        """A schema that imports all others, from copies that lead to each other."""
        for path in sorted(folder.glob("*.xsd")):
            text = path.read_text(encoding="utf-8")
            (self._copies / path.name).write_text(_LOCATION.sub(r"\1\2", text), encoding="utf-8")
            target = _TARGET.search(text)
            if path.name in _FILES and target is not None:
                self.namespaces[target[1]] = self._copies / path.name
        driver = self._copies / "driver.xsd"
        content = "".join(
            f'<xs:import namespace="{namespace}" schemaLocation="{path.name}"/>'
            for namespace, path in self.namespaces.items()
        )
        driver.write_text(f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{content}</xs:schema>')
        return driver
