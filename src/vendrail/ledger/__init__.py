"""The books: accounts, the journal of transfers between them, and what each account holds.

Promises: value moves between two accounts of one currency and is never made or lost; a limit is
never passed, counting what is pending; each id has one outcome, a refusal too, given again for
ever; nothing in the journal is ever changed or deleted.
"""
