"""Files dropped into an S3 bucket end up, checked and complete, in PostgreSQL."""

__version__ = "0.1.0"
