"""Lays images out in the plane so that alike ones lie together.

`features` turns images into a few numbers each; `fixed_map` turns those into positions.
"""
