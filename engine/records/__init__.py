"""Frozen records that rooms hand to each other, one file a subject: plain data, no behaviour but a derived property."""
