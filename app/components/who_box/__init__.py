"""Under which name this browser's decisions are recorded."""
