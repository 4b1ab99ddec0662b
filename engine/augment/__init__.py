"""Batched augmentations on the device: weak views and strong views."""
