"""Tells somebody of signals: alerts by route, grouped, rate-limited, held in quiet hours, delivered at least once."""
