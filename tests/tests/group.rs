//! Agents and coordinator over TLS, with real containers. In `joining` and `sessions` the driver is the test; in
//! `access`, `asking`, `http` and `programs` everything is a program of its own.

#[path = "group/access.rs"]
mod access;
#[path = "group/asking.rs"]
mod asking;
#[path = "group/http.rs"]
mod http;
#[path = "group/joining.rs"]
mod joining;
#[path = "group/programs.rs"]
mod programs;
#[path = "group/sessions.rs"]
mod sessions;
