"""Identity: people and programs, what they may do, how they prove who they are, what they did.

Of a password, code, link or key only a keyed hash is kept, of a second factor's secret its sealed
form: whoever steals the database can sign in nowhere. Every privileged act is in a log that is only
ever added to, and chained so that a change to it shows.
"""
