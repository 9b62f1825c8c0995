"""Makes networks small: what to keep, how to cut, how to recover."""
