"""The loop: cache, work queue, reconciler and the event sources that feed them."""
