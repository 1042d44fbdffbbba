//! The commands about API tokens.

use redeploy_proto::v1;

use super::args::{Output, RoleArg, TokenVerb};
use super::dial::{Coordinator, ask};
use super::exit::{Exit, Stop};
use super::json;
use super::request::ms;
use super::text::{say, table, word};
use super::units::moment;

pub(super) async fn token(at: &Coordinator, verb: TokenVerb, output: Output) -> Result<Exit, Stop> {
    let mut client = at.client();
    match verb {
        TokenVerb::Create(args) => {
            let role = match args.role {
                RoleArg::Viewer => v1::Role::Viewer,
                RoleArg::Deployer => v1::Role::Deployer,
                RoleArg::Admin => v1::Role::Admin,
            };
            let request = v1::CreateApiTokenRequest {
                name: args.name,
                role: role.into(),
                envs: args.env,
                expires_in_ms: args.expires.map_or(0, ms),
            };
            let made = client.create_api_token(ask(request)).await?.into_inner();
            match output {
                Output::Json => json::line(&made),
                Output::Table => say(&made.token),
            }
        }
        TokenVerb::List => {
            let all = client.list_api_tokens(ask(v1::ListApiTokensRequest {})).await?.into_inner();
            show(&all.tokens, output);
        }
        TokenVerb::Revoke(args) => {
            let request = v1::RevokeApiTokenRequest { token_id: args.token };
            show(&[client.revoke_api_token(ask(request)).await?.into_inner()], output);
        }
    }
    Ok(Exit::Done)
}

fn show(tokens: &[v1::ApiToken], output: Output) {
    if output == Output::Json {
        return tokens.iter().for_each(json::line);
    }
    let head =
        ["NAME", "ROLE", "ENVIRONMENTS", "MADE", "EXPIRES", "LAST USED", ""].map(str::to_owned).to_vec();
    let row = |token: &v1::ApiToken| {
        let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
        vec![
            token.name.clone(),
            word(token.role().as_str_name(), "ROLE_"),
            or(token.envs.join(","), "all"),
            moment(token.created_at_ms),
            or(moment(token.expires_at_ms), "never"),
            or(moment(token.last_used_at_ms), "never"),
            if token.is_revoked { "revoked".to_owned() } else { String::new() },
        ]
    };
    table(&std::iter::once(head).chain(tokens.iter().map(row)).collect::<Vec<_>>());
}
