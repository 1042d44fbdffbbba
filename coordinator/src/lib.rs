//! The coordinator: keeps what is wanted of a node group, sequences its agents, halts at the first failure.
//!
//! Nothing is here yet. The agent does its whole job alone; the coordinator is the next capability and will
//! stand on the agent's plan, saga and report. This crate exists so that the workspace has its final shape,
//! and holds no code that pretends otherwise.
