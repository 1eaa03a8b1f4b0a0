"""The table of contents of the platform: one file per service, with its records, statuses and interface."""
