"""The platform's table of contents: one file a service, with records, statuses, interface."""
