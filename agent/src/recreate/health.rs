//! The health check, which the engine merges field by field: a field that is not set comes from the image.
//!
//! `["NONE"]` switches the check off and `{}` says "as the image has it"; neither is the same as no answer.

use serde_json::{Map, Value};

use super::json::{pairs, says_nothing};
use super::{Draft, Inputs, Source};

/// Sends the fields the user set.
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) {
    let (check, image) = (&inputs.config()["Healthcheck"], &inputs.old_image()["Healthcheck"]);
    if check.is_null() {
        return;
    }
    let mut own = Map::new();
    for (field, value) in pairs(check).filter(|(_, value)| !says_nothing(value)) {
        let source = if *value == image[field] { Source::OldImage } else { Source::User };
        draft.source(format!("Config.Healthcheck.{field}"), source, "");
        if source == Source::User {
            own.insert(field.to_owned(), value.clone());
        }
    }
    // An empty check the image does not have either can only be the user's.
    if !own.is_empty() || image.is_null() {
        draft.config.insert("Healthcheck".to_owned(), Value::Object(own));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::case;
    use serde_json::{Value, json};

    #[test]
    fn each_field_is_the_users_or_the_images() {
        let image = json!({"Test": ["CMD", "true"], "Interval": 5, "StartInterval": 2});
        for (check, image, sent) in [
            (image.clone(), image.clone(), None),
            (
                json!({"Test": ["CMD", "true"], "Interval": 5, "StartInterval": 3, "Retries": 0}),
                image.clone(),
                Some(json!({"StartInterval": 3})),
            ),
            (
                json!({"Test": ["NONE"], "Interval": 5, "StartInterval": 2}),
                image.clone(),
                Some(json!({"Test": ["NONE"]})),
            ),
            (json!({}), Value::Null, Some(json!({}))),
            (json!({"Test": ["CMD", "x"]}), Value::Null, Some(json!({"Test": ["CMD", "x"]}))),
            (Value::Null, Value::Null, None),
        ] {
            let case = case(json!({"Healthcheck": check}), json!({}));
            let plan = case.images(json!({"Healthcheck": image}), json!({})).plan();
            assert_eq!(plan.body.get("Healthcheck"), sent.as_ref(), "{check}");
        }
    }
}
