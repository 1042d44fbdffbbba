//! Containers whose content is made to harm: nothing outside of them is read into an archive or written, whatever
//! they hold, and archives that somebody altered are found out before they do harm.

#[path = "hostile/altered.rs"]
mod altered;
#[path = "hostile/canary.rs"]
mod canary;
#[path = "hostile/content.rs"]
mod content;
