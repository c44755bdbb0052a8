"""Fill the operations database: manifests, directories of FITS files, the synthetic observatory."""
