"""Overread: an open-source second reader for medical images that shows its work.

Research prototype, not a medical device.
"""

__version__ = "0.1.0"
