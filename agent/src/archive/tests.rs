//! Whole life of an archive, on real file systems, as root.
#![expect(clippy::disallowed_methods, reason = "tests make plain files and ask GNU tar for its opinion")]

mod damage;
mod hostile;
mod life;
mod put_back;
mod random;
mod rounds;
mod sealed;
mod second_process;
mod soak;
mod tree;
mod underlay;
