//! A real agent and the real agent side of the coordinator, over TLS: joining, sessions, and redeploys of real
//! containers through them. The driver is the test.

#[path = "group/joining.rs"]
mod joining;
#[path = "group/sessions.rs"]
mod sessions;
