"""User-defined functions: those of the IVOA's catalogue (EN 1.2, 2024-11-07) that need no network, and our own.

A module for each subject declares its functions with what the engines need to run them; `listing` gathers them.
"""
