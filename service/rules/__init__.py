"""Rules as data, and the judge: pure, no clock, no database."""
