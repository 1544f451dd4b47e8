"""Readers of recorded spikes, one file a source."""
