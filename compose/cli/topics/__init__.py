"""Commands that read topics and schemas."""
