"""What all commands share: how they speak, open the catalog, and show rows."""
