"""Judge subjects by the Unified Astronomy Thesaurus, which is in a file: it is others' work and not shipped here.

The file is what the IVOA serves at the thesaurus's own address as ``application/x-desise+json`` (Vocabularies in the VO
2.0 section 3.2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from catalog.errors import SettingsError
from catalog.registry.resources import Resource

__all__ = ["Thesaurus"]

_URI = "http://www.ivoa.net/rdf/uat"


class Thesaurus:
    """The terms that subjects are taken from.

    Args:
        path: The file.

    Raises:
        SettingsError: It is none, or of another vocabulary.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            uri, terms = content["uri"], content["terms"]
            self._deprecated = {str(term): "deprecated" in facts for term, facts in terms.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SettingsError(
                f"{path.name} is no vocabulary of the IVOA",
                hint=f"Fetch {_URI} with `Accept: application/x-desise+json`.",
            ) from error
        if str(uri).replace("https:", "http:").rstrip("#/") != _URI:
            raise SettingsError(f"{path.name} is the vocabulary {str(uri)[:200]}; expected {_URI}")

    def problems(self, resources: Sequence[Resource]) -> Iterator[tuple[Resource, str]]:
        """Subjects that are no terms, or deprecated ones, with the resource that has them."""
        for resource in resources:
            for subject in resource.subjects:
                if subject not in self._deprecated:
                    yield resource, f"the subject {subject} is no term of the Unified Astronomy Thesaurus"
                elif self._deprecated[subject]:
                    yield resource, f"the subject {subject} is deprecated in the Unified Astronomy Thesaurus"
