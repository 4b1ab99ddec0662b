"""Reusable pieces of the pages; each custom front-end component has its own folder."""
