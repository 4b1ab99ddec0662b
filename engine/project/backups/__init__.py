"""Backups of whole projects: a folder that holds each content once, taken while people label, and put back."""
