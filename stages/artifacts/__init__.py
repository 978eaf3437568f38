"""The HDF5 files that stages exchange: schemas, validated reads, atomic writes. The only place that imports h5py."""
