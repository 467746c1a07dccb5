"""Getting the benchmarks of photographs: download, unpack, count, tell two copies apart."""
