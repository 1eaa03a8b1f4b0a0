"""The ground floor: money, ids, clock, database, batching, saga, rpc; knows no service."""
