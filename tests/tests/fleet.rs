//! A fleet as it is in a data centre: three hosts with engines and addresses of their own, a coordinator on another
//! address, gRPC over TLS between them. `rollouts`: what operators order. `faults`: what goes wrong meanwhile.
//!
//! `make test` runs a representative part of the faults; `make fleet` (REDEPLOY_FLEET=all) goes through all of them.

#[path = "fleet/faults.rs"]
mod faults;
#[path = "fleet/rollouts.rs"]
mod rollouts;
