"""ObsCore 1.1 and its radio extension 1.0: packages become rows of ``ivoa.obscore`` and ``ivoa.obscore_radio``.

Each published package is resolved once into one row of ``catalog.package_obscore``; the published views read that.
"""
