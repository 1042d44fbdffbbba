//! Agents and coordinator over TLS, with real containers. In `joining`, `sessions` and `certificates` the driver is
//! the test; in `access`, `asking`, `programs`, `http`, `jelastic`, `managed`, `operating` and `traces` everything is a program of
//! its own.

#[path = "group/access.rs"]
mod access;
#[path = "group/asking.rs"]
mod asking;
#[path = "group/certificates.rs"]
mod certificates;
#[path = "group/http.rs"]
mod http;
#[path = "group/jelastic.rs"]
mod jelastic;
#[path = "group/joining.rs"]
mod joining;
#[path = "group/managed.rs"]
mod managed;
#[path = "group/operating.rs"]
mod operating;
#[path = "group/programs.rs"]
mod programs;
#[path = "group/sessions.rs"]
mod sessions;
#[path = "group/traces.rs"]
mod traces;
