"""The HTTP door: Starlette routes over the catalog; no rule of the domain lives here."""
