//! JSON of strangers to messages. Must never guess: what is not in the contract, or of another type, is refused with its
//! place and the rule.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Read};
use serde_json::{Map, Value};

use super::{oneof, prefix, words};

/// Something in the JSON breaks the form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{at}` {rule}")]
pub(crate) struct Mistake {
    /// Where: names with dots, as in `strategy.batches.nodes`.
    at: String,
    /// What should be there.
    rule: String,
}

/// A message from the members of a JSON object.
///
/// # Errors
/// [`Mistake`]: the first one.
pub(crate) fn read(of: &MessageDescriptor, members: &Map<String, Value>) -> Result<DynamicMessage, Mistake> {
    message(of, members, "")
}

/// A text of a path or a query as the JSON that its field takes; one that fits no type stays a text, and is refused
/// when it is read.
pub(crate) fn scalar(field: &FieldDescriptor, text: &str) -> Value {
    let number = || text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from));
    let read = match field.kind() {
        Kind::Bool => text.parse::<bool>().ok().map(Value::from),
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64 => number().ok(),
        Kind::Double | Kind::Float | Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => None,
    };
    read.unwrap_or_else(|| text.into())
}

fn message(
    of: &MessageDescriptor,
    members: &Map<String, Value>,
    at: &str,
) -> Result<DynamicMessage, Mistake> {
    let mut made = DynamicMessage::new(of.clone());
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let field = of.get_field_by_name(name).ok_or_else(|| unknown(of, &at))?;
        let other = oneof(&field).and_then(|oneof| oneof.fields().find(|other| made.has_field(other)));
        if let Some(other) = other {
            return Err(mistake(&at, format!("cannot stand beside `{}`: give one of them", other.name())));
        }
        let read = match (field.is_map(), field.is_list()) {
            (true, _) => Err(mistake(&at, "cannot be given in JSON")),
            (false, true) => list(&field, value, &at),
            (false, false) => one(&field.kind(), value, &at),
        };
        made.set_field(&field, read?);
    }
    Ok(made)
}

fn list(field: &FieldDescriptor, value: &Value, at: &str) -> Result<Read, Mistake> {
    let elements = value.as_array().ok_or_else(|| mistake(at, "must be a list"))?;
    let read = |(number, value)| one(&field.kind(), value, &format!("{at}.{number}"));
    elements.iter().enumerate().map(read).collect::<Result<_, _>>().map(Read::List)
}

fn one(kind: &Kind, value: &Value, at: &str) -> Result<Read, Mistake> {
    match kind {
        Kind::Bool => value.as_bool().map(Read::Bool).ok_or_else(|| mistake(at, "must be true or false")),
        Kind::String => text(value, at).map(|text| Read::String(text.to_owned())),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => signed(value, at).map(Read::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => signed(value, at).map(Read::I64),
        Kind::Uint32 | Kind::Fixed32 => unsigned(value, at, u32::MAX.into()).map(Read::U32),
        Kind::Uint64 | Kind::Fixed64 => unsigned(value, at, u64::MAX).map(Read::U64),
        Kind::Message(of) => {
            let members = value.as_object().ok_or_else(|| mistake(at, "must be an object"))?;
            message(of, members, at).map(Read::Message)
        }
        Kind::Enum(of) => {
            let words = words(of);
            let word = text(value, at)?;
            let name = format!("{}{}", prefix(of), word.to_ascii_uppercase());
            // In small letters only: one word for one thing.
            let value = of.get_value_by_name(&name).filter(|_| words.iter().any(|known| known == word));
            let value = value.ok_or_else(|| mistake(at, format!("must be one of {}", words.join(", "))))?;
            Ok(Read::EnumNumber(value.number()))
        }
        Kind::Double | Kind::Float | Kind::Bytes => Err(mistake(at, "cannot be given in JSON")),
    }
}

fn text<'a>(value: &'a Value, at: &str) -> Result<&'a str, Mistake> {
    value.as_str().ok_or_else(|| mistake(at, "must be a text"))
}

fn signed<T: TryFrom<i64>>(value: &Value, at: &str) -> Result<T, Mistake> {
    let number = value.as_i64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| mistake(at, "must be a whole number"))
}

fn unsigned<T: TryFrom<u64>>(value: &Value, at: &str, max: u64) -> Result<T, Mistake> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| mistake(at, format!("must be a whole number from 0 to {max}")))
}

fn unknown(of: &MessageDescriptor, at: &str) -> Mistake {
    let names: Vec<String> = of.fields().map(|field| field.name().to_owned()).collect();
    let known = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    mistake(at, format!("is not known here: there may be {known}"))
}

fn mistake(at: &str, rule: impl Into<String>) -> Mistake {
    Mistake { at: at.to_owned(), rule: rule.into() }
}
