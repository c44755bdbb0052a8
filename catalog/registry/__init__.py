"""The publishing registry: VOResource 1.1, VODataService 1.2, VORegistry 1.1, Registry Interfaces 1.1, OAI-PMH 2.0.

Declared facts (`records`) and live ones (`coverage`) become resource records (`resources`), which are kept with their
datestamps (`store`) and harvested (`oai`). VODataService 1.3 and TAPRegExt 1.1 are not used: the Registry of Registries
does not accept them.
"""
