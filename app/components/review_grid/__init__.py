"""The review grid: many predictions of one class on a page, the wrong ones marked, the others accepted together."""
