"""`make bench`: speed as ratios, measured side by side in one run (never part of `make test`)."""
