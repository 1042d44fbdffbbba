//! Parameters as clients of the vendor's send them: in the query, in a form, in both, with whatever content type.
//!
//! Flows in: a query and a body. Flows out: texts, booleans and numbers by name, or the rule one of them breaks. Pure. Must
//! never repeat a value in an error: it may be a password.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// Names and values, those of the query first.
pub(super) struct Params(Vec<(String, String)>);

/// A parameter breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    #[error("say nodeGroup or nodeId: neither was given")]
    NoTarget,
    #[error("the parameter {0} is not a boolean: write true or false")]
    NoBoolean(&'static str),
    #[error("the parameter {name} is not {what}")]
    NoNumber { name: &'static str, what: &'static str },
    #[error("give login and password together, or neither")]
    HalfALogin,
    #[error("the parameter tag is neither a tag nor {{image}}:{{tag}}: {0}")]
    NoTag(String),
}

impl Params {
    /// Everything that was said; what is empty was not. A body that is no form and no JSON object says nothing.
    pub(super) fn read(query: &str, body: &[u8]) -> Self {
        let mut all: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match serde_json::from_slice::<Map<String, Value>>(body) {
            Ok(members) => {
                all.extend(members.into_iter().filter_map(|(name, value)| Some((name, scalar(value)?))))
            }
            Err(_) => all.extend(form_urlencoded::parse(body).into_owned()),
        }
        all.retain(|(_, value)| !value.is_empty());
        Self(all)
    }

    /// The first value of this name, in whatever case.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// # Errors
    /// [`Wrong::Missing`]
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Wrong> {
        self.text(name).ok_or(Wrong::Missing(name))
    }

    /// `true` or `1`, `false` or `0`, in whatever case.
    ///
    /// # Errors
    /// [`Wrong::NoBoolean`]: taking it for "no" could erase volumes.
    pub(super) fn boolean(&self, name: &'static str) -> Result<Option<bool>, Wrong> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(Wrong::NoBoolean(name)),
        }
    }

    /// # Errors
    /// [`Wrong::NoNumber`], with `what` it should be.
    pub(super) fn number<T: FromStr>(
        &self,
        name: &'static str,
        what: &'static str,
    ) -> Result<Option<T>, Wrong> {
        let number = self.text(name).map(str::parse).transpose();
        number.map_err(|_| Wrong::NoNumber { name, what })
    }
}

/// A member of a JSON object as a form would have it; what a form cannot have is left out.
fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_form_and_json_are_one() {
        let all = Params::read("a=1&b=two%20words&empty=", b"c=3&b=ignored&d=%C3%A4+%2B");
        assert_eq!(all.text("a"), Some("1"));
        assert_eq!(all.text("b"), Some("two words"), "the query is read first");
        assert_eq!((all.text("c"), all.text("D")), (Some("3"), Some("ä +")));
        assert_eq!((all.text("empty"), all.text("nothing")), (None, None));
        let all =
            Params::read("a=", br#"{"a": "x", "is": true, "n": 7, "none": null, "list": [1], "e": ""}"#);
        assert_eq!((all.text("a"), all.text("is"), all.text("n")), (Some("x"), Some("true"), Some("7")));
        assert_eq!((all.text("none"), all.text("list"), all.text("e")), (None, None, None));
    }

    #[test]
    fn bodies_of_no_known_form_harm_nobody() {
        for body in [
            &b""[..],
            b"{",
            b"[1]",
            b"\xff\xfe",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1",
        ] {
            assert_eq!(Params::read("envName=shop", body).text("envName"), Some("shop"));
        }
    }

    #[test]
    fn booleans_and_numbers_are_read_or_refused() {
        let all = Params::read(
            "t=true&T1=True&t2=TRUE&t3=1&f=false&f1=FALSE&f2=0&x=yes&n=12&m=-1&big=99999999999",
            b"",
        );
        for name in ["t", "t1", "t2", "t3"] {
            assert_eq!(all.boolean(name), Ok(Some(true)), "{name}");
        }
        for name in ["f", "f1", "f2"] {
            assert_eq!(all.boolean(name), Ok(Some(false)), "{name}");
        }
        assert_eq!(all.boolean("nothing"), Ok(None));
        assert_eq!(all.boolean("x"), Err(Wrong::NoBoolean("x")));
        assert_eq!(all.number::<u32>("n", "a number"), Ok(Some(12)));
        for name in ["m", "big", "x"] {
            assert_eq!(all.number::<u32>(name, "a number"), Err(Wrong::NoNumber { name, what: "a number" }));
        }
        assert_eq!(all.required("gone"), Err(Wrong::Missing("gone")));
    }

    #[test]
    fn values_are_never_printed() {
        let all = Params::read("session=rda_secret&password=pa55word", b"");
        assert_eq!(format!("{all:?}"), r#"["session", "password"]"#);
        let error =
            Params::read("useExistingVolumes=pa55word", b"").boolean("useExistingVolumes").unwrap_err();
        assert!(!error.to_string().contains("pa55word"), "{error}");
    }
}
