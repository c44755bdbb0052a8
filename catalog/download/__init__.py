"""Downloads from any VO service: identifiers, their links (DataLink 1.1), and bytes that are resumed and verified."""
