"""The ground floor: money, ids, clock, database, batching, saga, rpc, crypto, telemetry. Knows no service."""
