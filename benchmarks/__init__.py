"""Programs that measure: `python -m benchmarks.NAME`. Each prints ratios measured in one run, and JSON with --json."""
