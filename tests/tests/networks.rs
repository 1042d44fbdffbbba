//! Networks: forward, failing and back, the container is reached as before and asks for the same again.

#[path = "networks/bridges.rs"]
mod bridges;
#[path = "networks/overlay.rs"]
mod overlay;
#[path = "networks/plain.rs"]
mod plain;
#[path = "networks/trip.rs"]
mod trip;
