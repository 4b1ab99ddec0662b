"""The desk of review: the queue, lists, the grid, what rounds recorded."""
