"""What operators note about tasks, on a compacted topic: read by views and notifiers, written by views."""
