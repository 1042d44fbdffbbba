//! A manifest's text, as a tree that knows its lines. JSON is YAML, too.
//!
//! Flows in: text of strangers. Flows out: texts, lists and maps. Every scalar stays the text it is: `tag: 1.10` is no number.
//! Must never follow an alias: a small file could become a large tree.

use saphyr_parser::{Event, Parser, Span};

/// Far deeper than any manifest.
const DEPTH_MAX: usize = 64;

/// Something in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(String, Node)>),
}

/// A manifest cannot be carried out, and where that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) rule: String,
}

impl Mistake {
    pub(super) fn new(line: usize, rule: impl Into<String>) -> Self {
        Self { line, rule: rule.into() }
    }
}

impl Node {
    pub(super) fn map(&self) -> &[(String, Self)] {
        match &self.what {
            What::Map(members) => members,
            What::Text(_) | What::List(_) => &[],
        }
    }

    pub(super) fn list(&self) -> &[Self] {
        match &self.what {
            What::List(all) => all,
            What::Text(_) | What::Map(_) => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            What::List(_) | What::Map(_) => None,
        }
    }

    /// A member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.map().iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }
}

/// The first document of a text.
///
/// # Errors
/// [`Mistake`]
pub(super) fn read(text: &str) -> Result<Node, Mistake> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    loop {
        let (event, span) = reader.next(1)?;
        if event == Event::StreamEnd {
            return Err(Mistake::new(1, "there is nothing in it"));
        }
        if !matches!(event, Event::StreamStart | Event::DocumentStart(_) | Event::Nothing) {
            return reader.node(event, span, 0);
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self, line: usize) -> Result<(Event<'t>, Span), Mistake> {
        let next = self.parser.next().ok_or_else(|| Mistake::new(line, "it breaks off"))?;
        next.map_err(|error| {
            Mistake::new(error.marker().line(), format!("this is no YAML: {}", error.info()))
        })
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Mistake> {
        let line = span.start.line();
        if depth > DEPTH_MAX {
            return Err(Mistake::new(line, "this is nested too deeply"));
        }
        let what = match event {
            Event::Scalar(text, ..) => What::Text(text.into_owned()),
            Event::SequenceStart(..) => What::List(self.all(line, depth)?),
            Event::MappingStart(..) => What::Map(self.members(line, depth)?),
            Event::Alias(_) => return Err(Mistake::new(line, "aliases are not understood: write it out")),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Mistake::new(line, "there is nothing here")),
        };
        Ok(Node { line, what })
    }

    fn all(&mut self, line: usize, depth: usize) -> Result<Vec<Node>, Mistake> {
        let mut all = Vec::new();
        loop {
            match self.next(line)? {
                (Event::SequenceEnd, _) => return Ok(all),
                (event, span) => all.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn members(&mut self, line: usize, depth: usize) -> Result<Vec<(String, Node)>, Mistake> {
        let mut all: Vec<(String, Node)> = Vec::new();
        loop {
            let (event, span) = self.next(line)?;
            if event == Event::MappingEnd {
                return Ok(all);
            }
            let at = span.start.line();
            let Event::Scalar(key, ..) = event else {
                return Err(Mistake::new(at, "a key must be a text"));
            };
            let (event, span) = self.next(at)?;
            // The value's line is where its key stands: that is where people look.
            let value = Node { line: at, ..self.node(event, span, depth + 1)? };
            all.push((key.into_owned(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_stay_texts_and_lines_are_kept() {
        let node =
            read("type: install\nonInstall:\n  - api [cp]: x\n    tag: 1.10\n  - \"a\": yes\n").unwrap();
        let steps = node.get("onInstall").unwrap().list();
        assert_eq!((steps[0].line, steps[1].line), (3, 5));
        assert_eq!(steps[0].get("tag").unwrap().text(), Some("1.10"));
        assert_eq!(steps[1].get("a").unwrap().text(), Some("yes"));
        let json = read("{\"onInstall\": [{\"a\": true}, null]}").unwrap();
        assert_eq!(json.get("onInstall").unwrap().list()[0].get("a").unwrap().text(), Some("true"));
    }

    #[test]
    fn what_is_no_manifest_is_named_with_its_line() {
        let deep = "[".repeat(100);
        for (text, line, rule) in [
            ("", 1, "nothing in it"),
            ("a: [1\nb: 2", 2, "no YAML"),
            ("a: &x 1\nb: *x", 2, "aliases"),
            ("? [a]\n: b", 1, "a key must be a text"),
            (deep.as_str(), 1, ""),
        ] {
            let mistake = read(text).unwrap_err();
            assert!(mistake.line == line && mistake.rule.contains(rule), "{text}: {mistake}");
        }
    }
}
