//! The contract beside its frozen copy: what has been published keeps its number, its type and its name.
//!
//! `frozen/redeploy.v1.txt` has one line per field, enum value and call. A line may be added there together with what
//! it describes; a line that is there is never changed, and goes only when a `reserved` takes its place.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::field_descriptor_proto::Label;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use redeploy_proto::v1;

const FROZEN: &str = include_str!("../frozen/redeploy.v1.txt");

#[test]
fn nothing_published_has_changed() {
    let now = lines(&FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap());
    let frozen: BTreeSet<String> = FROZEN.lines().map(str::to_owned).collect();
    let gone: Vec<&String> = frozen.difference(&now).collect();
    let new: Vec<&String> = now.difference(&frozen).collect();
    assert!(gone.is_empty(), "published and no longer so; field numbers are for ever: {gone:#?}");
    assert!(new.is_empty(), "new; add these lines to proto/frozen/redeploy.v1.txt: {new:#?}");
    assert!(now.len() > 300, "the descriptors themselves went missing: {}", now.len());
}

/// The contract, one line each.
fn lines(set: &FileDescriptorSet) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in &set.file {
        let package = file.package();
        for message in &file.message_type {
            message_lines(package, message, &mut lines);
        }
        for of in &file.enum_type {
            enum_lines(package, of, &mut lines);
        }
        for service in &file.service {
            for method in &service.method {
                let stream = |is: bool| if is { "stream " } else { "" };
                lines.insert(format!(
                    "rpc {package}.{}/{} ({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type(),
                ));
            }
        }
    }
    lines
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    // An empty message is a promise too.
    lines.insert(format!("message {name}"));
    for field in &message.field {
        lines.insert(field_line(&name, message, field));
    }
    for range in &message.reserved_range {
        lines.insert(format!("reserved {name} {} to {}", range.start(), range.end() - 1));
    }
    for nested in &message.nested_type {
        message_lines(&name, nested, lines);
    }
    for of in &message.enum_type {
        enum_lines(&name, of, lines);
    }
}

fn field_line(name: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let label = match (field.label(), field.proto3_optional()) {
        (Label::Repeated, _) => "repeated ".to_owned(),
        (_, true) => "optional ".to_owned(),
        (_, false) => match field.oneof_index {
            Some(index) => {
                let of = usize::try_from(index).ok().and_then(|index| message.oneof_decl.get(index));
                format!("oneof {} ", of.map_or("?", |of| of.name()))
            }
            None => String::new(),
        },
    };
    let kind = match field.type_name() {
        "" => field.r#type().as_str_name().to_owned(),
        named => named.to_owned(),
    };
    format!("field {name}.{} = {}: {label}{kind}", field.name(), field.number())
}

fn enum_lines(scope: &str, of: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    for value in &of.value {
        lines.insert(format!("value {scope}.{}.{} = {}", of.name(), value.name(), value.number()));
    }
}

#[test]
fn no_secret_is_printed() {
    let secret = || "hush-hush".to_owned();
    let login = v1::RegistryLogin { user: "ann".into(), password: secret() };
    let shown = [
        format!("{:?}", v1::RedeployOrder { login: Some(login.clone()), ..Default::default() }),
        format!("{:?}", v1::CreateDeploymentRequest { login: Some(login), ..Default::default() }),
        format!("{:?}", v1::EnrollRequest { token: secret(), host_name: "ann".into(), ..Default::default() }),
        format!("{:?} ann", v1::CreateJoinTokenResponse { token: secret(), info: None }),
        format!("{:?} ann", v1::CreateApiTokenResponse { token: secret(), info: None }),
    ];
    for shown in shown {
        assert!(shown.contains("ann") && !shown.contains("hush"), "{shown}");
    }
}
