//! Tests of the network over a store of nothing but transactions.
