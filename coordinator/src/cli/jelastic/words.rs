//! The vendor's command line: `GROUP/CLASS/METHOD --name value …`. Pure.
//!
//! Flows in: words. Flows out: a path and a form, or what is wrong with the words. Must never repeat a value in an error: it
//! may be a password.

use std::path::Path;

use crate::cli::exit::Stop;

/// The methods that a link to the program may be named after. Source: the vendor's command line has one file for each.
const LINKED: [&str; 6] = [
    "environment/control/redeploycontainers",
    "environment/control/redeploycontainersbygroup",
    "environment/control/redeploycontainerbyid",
    "environment/control/getcontainernodetags",
    "environment/control/getenvinfo",
    "environment/control/getenvs",
];

/// Options of the vendor's program, which its server never sees: no animation on the terminal; where to sign in. Nothing is
/// animated here, and where to is said by a context.
const THEIRS: [&str; 2] = ["silent", "platformUrl"];

/// Ours: end with a code that says how it went.
const REAL_EXIT: &str = "--non-zero-exit-code";

/// One call. Does not print itself: it may hold a password.
pub(in crate::cli) struct Call {
    pub(super) path: String,
    pub(super) form: String,
    pub(super) is_real_exit: bool,
}

/// The method the program is linked as, if it is.
pub(in crate::cli) fn linked(program: &str) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    LINKED.into_iter().find(|method| method.rsplit('/').next() == Some(name))
}

impl Call {
    /// # Errors
    /// The words have another form.
    pub(super) fn of(words: Vec<String>) -> Result<Self, Stop> {
        let mut words = words.into_iter();
        let path = path(&words.next().unwrap_or_default())?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        let mut is_real_exit = false;
        while let Some(word) = words.next() {
            if word == REAL_EXIT {
                is_real_exit = true;
                continue;
            }
            let (name, value) = option(&word, &mut words)?;
            if !THEIRS.contains(&name.as_str()) {
                form.append_pair(&name, &value);
            }
        }
        Ok(Self { path, form: form.finish(), is_real_exit })
    }
}

/// `--name value` or `--name=value`. Which names there are, the coordinator knows.
fn option(word: &str, rest: &mut impl Iterator<Item = String>) -> Result<(String, String), Stop> {
    let option = word.strip_prefix("--").filter(|option| !option.is_empty() && !option.starts_with('='));
    let Some(option) = option else {
        return Err(Stop::usage("write options of a method as `--name value`: there is a word that is none"));
    };
    match option.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => {
            let missing = || Stop::usage(format!("--{option} has no value: write `--{option} value`"));
            Ok((option.to_owned(), rest.next().ok_or_else(missing)?))
        }
    }
}

fn path(method: &str) -> Result<String, Stop> {
    let parts: Vec<&str> = method.split(['/', '.']).collect();
    let is_name = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    match parts.as_slice() {
        [group, class, method] if parts.iter().all(is_name) => {
            Ok(format!("/1.0/{group}/{class}/rest/{method}").to_ascii_lowercase())
        }
        _ => Err(Stop::usage(format!(
            "{method:?} is no method: write it as in `environment/control/redeploycontainers`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str]) -> Result<(String, String, bool), String> {
        let call = Call::of(words.iter().map(|word| (*word).to_owned()).collect());
        call.map(|call| (call.path, call.form, call.is_real_exit)).map_err(|stop| stop.text)
    }

    #[test]
    fn the_vendors_words_become_a_form() {
        let words = ["environment/control/redeploycontainers", "--envName", "shop", "--nodeGroup", "cp"];
        let more = ["--tag=2.4", "--useExistingVolumes", "true", "--silent", "true", "--password", "a&b -c"];
        let path = "/1.0/environment/control/rest/redeploycontainers".to_owned();
        let form = "envName=shop&nodeGroup=cp&tag=2.4&useExistingVolumes=true&password=a%26b+-c".to_owned();
        assert_eq!(call(&[&words[..], &more].concat()), Ok((path.clone(), form, false)));
        let real = call(&["Environment.Control.RedeployContainers", "--non-zero-exit-code", "--tag", "--x"]);
        assert_eq!(real, Ok((path, "tag=--x".to_owned(), true)), "a value may be anything");
        let sign_in =
            call(&["users/authentication/signin", "--login", "ann", "--platformUrl", "app.example.com"]);
        assert_eq!(sign_in.unwrap().1, "login=ann");
    }

    #[test]
    fn words_of_another_form_are_refused_and_no_value_is_repeated() {
        for words in [
            &["redeploycontainers"][..],
            &["a/b/c/d"],
            &["a/../c"],
            &["a/b/c", "--password"],
            &["a/b/c", "pa55word"],
            &["a/b/c", "-p", "pa55word"],
            &["a/b/c", "--", "pa55word"],
            &["a/b/c", "--=pa55word"],
            &[],
        ] {
            let error = call(words).unwrap_err();
            assert!(error.contains("write") && !error.contains("pa55word"), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_link_is_known_by_its_name() {
        let home = "/root/jelastic/environment/control/redeploycontainers";
        assert_eq!(linked(home), Some("environment/control/redeploycontainers"));
        assert_eq!(linked("./getenvinfo"), Some("environment/control/getenvinfo"));
        for program in ["redeployctl", "/usr/bin/redeployctl", "control", "", "/"] {
            assert_eq!(linked(program), None, "{program}");
        }
    }
}
