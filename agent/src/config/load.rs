//! From a file's text and the environment to a [`Config`], collecting every mistake on the way.
//!
//! Flows in: text, a way to ask for variables. Flows out: a configuration and problems; the caller decides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};
use super::settings::{BALANCER, PATH_LISTS, PRESERVE, PathList, SETTINGS};
use super::value::Given;
use super::{Config, ENV_PREFIX};

/// A configuration in the making.
pub(super) struct Loading {
    pub(super) config: Config,
    pub(super) problems: Vec<Problem>,
    /// Where the settings that somebody made stand.
    pub(super) places: BTreeMap<String, Place>,
}

impl Loading {
    pub(super) fn new(config: Config) -> Self {
        Self { config, problems: Vec::new(), places: BTreeMap::new() }
    }

    pub(super) fn problem(&mut self, place: Place, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { place, key: key.to_owned(), message: message.into() });
    }

    /// Takes over what the file says.
    pub(super) fn read_file(&mut self, path: &Path, text: &str) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut walk = Walk { loading: self, path, text, broken: BTreeSet::new() };
        for error in errors {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            walk.broken.insert(line);
            let message = format!("this is not TOML: {}", error.message());
            walk.loading.problem(Place::Line(path.to_owned(), line), "", message);
        }
        walk.top(document.get_ref());
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
    }

    /// Takes over what the environment says. An empty variable is one that is not set.
    pub(super) fn read_env(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let variable = |key: &str| {
            let name = format!("{ENV_PREFIX}{}", key.to_ascii_uppercase().replace('.', "_"));
            env(&name).filter(|value| !value.is_empty()).map(|value| (Place::Env(name), value))
        };
        for setting in &SETTINGS {
            let Some((place, value)) = variable(setting.name) else { continue };
            self.places.insert(setting.name.to_owned(), place.clone());
            if let Err(message) = (setting.read)(&mut self.config, Given::Env(&value)) {
                self.problem(place, setting.name, message);
            }
        }
        for list in &PATH_LISTS {
            let key = format!("{PRESERVE}.{}", list.name);
            let Some((place, value)) = variable(&key) else { continue };
            let given: Vec<_> = value.split(':').map(|path| (place.clone(), Given::Env(path))).collect();
            self.read_list(list, &key, given);
        }
    }

    fn read_list(&mut self, list: &PathList, key: &str, given: Vec<(Place, Given<'_>)>) {
        let mut paths = Vec::with_capacity(given.len());
        for (place, given) in given {
            match given.guest_path() {
                Ok(path) => paths.push(path),
                Err(message) => self.problem(place, key, message),
            }
        }
        *(list.paths)(&mut self.config) = paths;
    }
}

/// The walk through the file's document.
struct Walk<'a> {
    loading: &'a mut Loading,
    path: &'a Path,
    text: &'a str,
    /// Lines that are no TOML. What a parser salvages from them is not worth a second complaint.
    broken: BTreeSet<usize>,
}

impl Walk<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(place) = self.place(key.span().start) else { continue };
            match (name, value.get_ref().as_table()) {
                (PRESERVE, _) => self.preserve(place, value.get_ref()),
                (BALANCER, Some(table)) => self.balancer(table),
                _ => self.setting(place, name, value.get_ref()),
            }
        }
    }

    fn balancer(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let Some(place) = self.place(key.span().start) else { continue };
            self.setting(place, &format!("{BALANCER}.{}", key.get_ref()), value.get_ref());
        }
    }

    fn setting(&mut self, place: Place, name: &str, value: &DeValue<'_>) {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let known = SETTINGS.iter().map(|setting| setting.name).chain([PRESERVE]);
            return self.unknown(place, name, known);
        };
        self.loading.places.insert(name.to_owned(), place.clone());
        if let Err(message) = (setting.read)(&mut self.loading.config, Given::File(value)) {
            self.loading.problem(place, name, message);
        }
    }

    fn preserve(&mut self, place: Place, value: &DeValue<'_>) {
        let Some(table) = value.as_table() else {
            let message =
                format!("this is of the type {}; allowed is the table [preserve]", value.type_str());
            return self.loading.problem(place, PRESERVE, message);
        };
        for (key, value) in table {
            let name = format!("{PRESERVE}.{}", key.get_ref());
            let Some(place) = self.place(key.span().start) else { continue };
            match PATH_LISTS.iter().find(|list| list.name == key.get_ref().as_ref()) {
                Some(list) => self.list(list, &name, place, value),
                None => self.unknown(place, &name, PATH_LISTS.iter().map(|list| list.name)),
            }
        }
    }

    fn list(&mut self, list: &PathList, key: &str, place: Place, value: &Spanned<DeValue<'_>>) {
        let Some(items) = value.get_ref().as_array() else {
            let kind = value.get_ref().type_str();
            let message = format!("this is of the type {kind}; allowed is a list of absolute paths");
            return self.loading.problem(place, key, message);
        };
        self.loading.places.insert(key.to_owned(), place);
        let given = items
            .iter()
            .filter_map(|item| Some((self.place(item.span().start)?, Given::File(item.get_ref()))))
            .collect();
        self.loading.read_list(list, key, given);
    }

    fn unknown(&mut self, place: Place, key: &str, known: impl Iterator<Item = &'static str>) {
        let known: Vec<&str> = known.collect();
        let message = format!("there is no such setting; allowed are {}", known.join(", "));
        self.loading.problem(place, &key.escape_debug().to_string(), message);
    }

    /// Where an offset is; `None` on a line that is broken anyway.
    fn place(&self, offset: usize) -> Option<Place> {
        let line = line_at(self.text, offset);
        (!self.broken.contains(&line)).then(|| Place::Line(self.path.to_owned(), line))
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
