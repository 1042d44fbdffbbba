//! What taking a step back came to, in words for the journal and for people. Pure.

use jiff::Timestamp;

/// What taking a step back came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undid {
    /// When that made the old container serve again, if it did.
    pub serving_since: Option<Timestamp>,
    /// What is not as it was before all the same.
    pub note: Option<String>,
    /// What else people must know, each once.
    pub notes: Vec<String>,
}

impl Undid {
    /// This, and what is missing in it from `later`.
    #[must_use]
    pub fn or(mut self, later: Self) -> Self {
        later.notes.into_iter().for_each(|note| self.tell(note));
        Self {
            serving_since: self.serving_since.or(later.serving_since),
            note: self.note.or(later.note),
            notes: self.notes,
        }
    }

    /// Notes something, once.
    pub fn tell(&mut self, note: String) {
        add_note(&mut self.notes, note);
    }
}

/// Adds a note that no other one begins with: that one tells the same, and more.
pub fn add_note(notes: &mut Vec<String>, note: String) {
    if !notes.iter().any(|told| told.starts_with(&note)) {
        notes.push(note);
    }
}
