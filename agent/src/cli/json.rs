//! For programs: one JSON object per line on stdout, each with its kind in `event`. The forms are described in
//! docs/cli.md and frozen.
//!
//! Must never print a value that [`super::mask`] takes out.

use std::io::Write;

use redeploy_agent::plan::Plan;
use redeploy_agent::report::Report;
use redeploy_agent::saga::Record;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::mask;
use super::teller::{News, Presenter};

/// Writes objects.
pub(crate) struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    /// Objects on `out`.
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    fn put(&mut self, event: &Value) {
        // Whoever does not read any more does not want to know.
        let _ = writeln!(self.out, "{event}").and_then(|()| self.out.flush());
    }
}

impl<W: Write + Send> Presenter for Json<W> {
    fn show(&mut self, news: News) {
        let event = match news {
            News::Pulling { reference, bytes_done, bytes_total } => json!({
                "event": "pull", "reference": reference, "bytes_done": bytes_done, "bytes_total": bytes_total,
            }),
            News::Plan(plan) => plan_event(&plan),
            News::Record(record) => record_event(&record),
            News::Progress { step, what, bytes, files } => json!({
                "event": "progress", "step": step, "what": what, "bytes": bytes, "files": files,
            }),
        };
        self.put(&event);
    }

    fn end(&mut self) {}
}

/// The plan, masked.
pub(crate) fn plan_event(plan: &Plan) -> Value {
    match mask::plan(plan) {
        Ok(fields) => named("plan", fields),
        Err(error) => problem("plan", &error),
    }
}

/// A record: its number, its time, and what happened.
fn record_event(record: &Record) -> Value {
    let mut fields = Map::new();
    fields.insert("seq".to_owned(), json!(record.seq));
    fields.insert("at".to_owned(), json!(record.at));
    match serde_json::to_value(&record.event) {
        Ok(Value::Object(event)) => fields.extend(event),
        Ok(other) => drop(fields.insert("what".to_owned(), other)),
        Err(error) => return problem("record", &error),
    }
    named("record", fields)
}

/// The report.
pub(crate) fn report_event(report: &Report) -> Value {
    object("report", report)
}

/// Why nothing was done.
pub(crate) fn refused_event(reasons: &[String]) -> Value {
    json!({ "event": "refused", "reasons": reasons })
}

/// Any value that is an object, with its kind in front.
pub(crate) fn object(kind: &str, value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => named(kind, fields),
        Ok(other) => json!({ "event": kind, kind: other }),
        Err(error) => problem(kind, &error),
    }
}

fn named(kind: &str, fields: Map<String, Value>) -> Value {
    let mut all = Map::new();
    all.insert("event".to_owned(), json!(kind));
    all.extend(fields);
    Value::Object(all)
}

/// Our own types always have a JSON form; if one has not, that is told in place of it.
fn problem(kind: &str, error: &serde_json::Error) -> Value {
    json!({ "event": "error", "of": kind, "error": error.to_string() })
}

#[cfg(test)]
mod tests {
    use redeploy_agent::report::Verdict;
    use redeploy_agent::steps::Step;

    use super::*;
    use crate::cli::samples;

    fn events(news: Vec<News>) -> Vec<Value> {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        news.into_iter().for_each(|news| json.show(news));
        json.end();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn one_object_per_line_each_with_its_kind_first() {
        let mut news = vec![
            News::Pulling { reference: "web:2".to_owned(), bytes_done: 1, bytes_total: 2 },
            News::Plan(Box::new(samples::plan())),
            News::Progress { step: Step::PutData, what: "x\ny".to_owned(), bytes: 3, files: 4 },
        ];
        news.extend(samples::records().into_iter().map(|record| News::Record(Box::new(record))));
        let events = events(news);
        let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(kinds.get(..4).unwrap(), ["pull", "plan", "progress", "record"]);
        assert!(events.iter().all(|event| event.as_object().unwrap().keys().next().unwrap() == "event"));
        assert_eq!(events[0]["bytes_total"], 2);
        assert_eq!((&events[1]["node"], &events[2]["step"]), (&json!("web"), &json!("put_data")));
        assert_eq!((&events[3]["seq"], &events[3]["what"]), (&json!(0), &json!("opened")));
        assert_eq!((&events[4]["what"], &events[4]["step"]), (&json!("started"), &json!("create")));
    }

    #[test]
    fn no_event_shows_a_variable() {
        let mut news = vec![News::Plan(Box::new(samples::plan()))];
        news.extend(samples::records().into_iter().map(|record| News::Record(Box::new(record))));
        let mut all = events(news);
        all.push(report_event(&samples::report(Verdict::Done)));
        for event in all {
            assert!(!event.to_string().contains("hunter2"), "{event}");
        }
    }

    #[test]
    fn a_report_is_found_at_the_top_of_its_event() {
        let event = report_event(&samples::report(Verdict::Undone));
        assert_eq!((&event["event"], &event["verdict"]), (&json!("report"), &json!("undone")));
        let refused = refused_event(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(refused, json!({ "event": "refused", "reasons": ["a", "b"] }));
    }
}
