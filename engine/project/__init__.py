"""An open project: a workspace, and one desk a subject over it."""
