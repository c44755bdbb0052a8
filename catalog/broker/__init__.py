"""The broker of files: from a package to its bytes, by the best copy that can be had (RFC 9110, RFC 9530)."""
