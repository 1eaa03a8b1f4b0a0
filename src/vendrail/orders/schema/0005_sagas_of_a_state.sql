-- People page through what is stuck or waits; most sagas run, and are not in this index.

create index saga_of_state on orders.saga (state, id) where state <> 'running';
