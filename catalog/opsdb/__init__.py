"""The operations database: what exists, where it lies and in what state. It stores no data, only facts about them."""
