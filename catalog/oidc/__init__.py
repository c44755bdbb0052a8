"""Bearer tokens of OpenID Connect issuers and whom they name (Core 1.0, Discovery 1.0; RFC 7515, 7517, 7519)."""
