"""Pictures of a map as files: one scene, laid out once, drawn by one file a kind."""
