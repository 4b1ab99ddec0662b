"""One file a page; a page talks to `Project` only."""
