"""The parts of the quality page, one file a tab, and what several of them and the history page draw."""
