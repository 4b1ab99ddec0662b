"""The desk of quality: what was measured, audits, checks."""
