//! From Temporal's own settings (variables, profiles) to the client's options.
//!
//! `temporalio-common` reads them as Temporal's command line does. What it would pass over in
//! silence is refused here by name, or handled.

use std::collections::HashMap;
use std::path::Path;

use temporalio_client::{ConnectionOptions, TlsOptions};
use temporalio_common::envconfig::{
    ClientConfigProfile, ClientConfigTLS, DataSource, LoadClientConfigProfileOptions,
    load_client_config_profile,
};

use super::Options;
use crate::error::Error;

/// Every variable about TLS that is read. Another one would be a setting without effect.
const TLS_VARIABLES: [&str; 9] = [
    "TEMPORAL_TLS",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_CERT_DATA",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_DATA",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_SERVER_NAME",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
];

/// How the server's limiter of database reads knows calls that may wait
/// (`common/headers/caller_info.go` of the server).
const CALLER_TYPE: (&str, &str) = ("caller-type", "preemptable");

/// What to connect to, and how.
pub(super) struct Settings {
    /// For messages: as configured, without a scheme.
    pub(super) address: String,
    pub(super) options: ConnectionOptions,
}

/// A codec server, which decodes payloads for people. Archiving never asks it. Each of its settings
/// may come from elsewhere than the others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CodecServer {
    /// URL; `{namespace}` in it stands for the namespace.
    pub endpoint: Option<String>,
    /// Value of the header `Authorization`.
    pub authorization: Option<String>,
}

impl std::fmt::Debug for CodecServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodecServer").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What `TEMPORAL_CODEC_ENDPOINT`, `TEMPORAL_CODEC_AUTH` or the profile say of a codec server.
///
/// # Errors
/// When the settings cannot be read.
pub fn codec_server(options: &Options) -> Result<CodecServer, Error> {
    let codec = profile(options)?.codec;
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(codec.map_or_else(CodecServer::default, |codec| CodecServer {
        endpoint: said(codec.endpoint),
        authorization: said(codec.auth),
    }))
}

/// The settings, with a token that goes before the configured API key.
pub(super) fn settings(options: &Options, token: Option<String>) -> Result<Settings, Error> {
    let mut profile = profile(options)?;
    if token.is_some() {
        profile.api_key = token;
    }
    if let Some(address) = &options.address {
        profile.address = Some(address.clone());
    }
    if let Some(tls) = &mut profile.tls {
        if tls.disable_host_verification {
            return Err(refused(
                "disable_host_verification (TEMPORAL_TLS_DISABLE_HOST_VERIFICATION) is not supported",
                "give the server's authority as TEMPORAL_TLS_SERVER_CA_CERT_PATH, and the name in its certificate as TEMPORAL_TLS_SERVER_NAME",
            ));
        }
        if tls.disabled != Some(true) {
            read_files(tls)?;
        }
    }
    let given = profile.address.clone().filter(|address| !address.is_empty());
    let given = given.unwrap_or_else(|| "localhost:7233".to_owned());
    profile.address = Some(given.clone());
    let has_tls = match &profile.tls {
        Some(tls) => tls.disabled != Some(true),
        None => profile.api_key.is_some(),
    };
    let is_disabled = profile.tls.as_ref().is_some_and(|tls| tls.disabled == Some(true));
    let mut options = ConnectionOptions::try_from(profile)
        .map_err(|error| refused(&error.to_string(), "write the address as HOST:PORT"))?;
    match options.target.scheme() {
        // The client would send everything, the key too, without TLS.
        "http" if has_tls => {
            return Err(refused(
                &format!("the address {given} says http, but TLS or an API key is configured"),
                "write the address as HOST:PORT, or switch TLS off with TEMPORAL_TLS=false",
            ));
        }
        "https" if is_disabled => {
            return Err(refused(
                &format!("the address {given} says https, but TLS is switched off"),
                "write the address as HOST:PORT, or leave TEMPORAL_TLS out",
            ));
        }
        "https" => {
            options.tls_options.get_or_insert_with(TlsOptions::default);
        }
        "http" => {}
        other => {
            return Err(refused(
                &format!("the address {given} has the unknown scheme {other:?}"),
                "write the address as HOST:PORT",
            ));
        }
    }
    if options.target.port_or_known_default().is_none() {
        return Err(refused(
            &format!("the address {given} has no port"),
            "write the address as HOST:PORT",
        ));
    }
    let headers = options.headers.get_or_insert_default();
    headers.entry(CALLER_TYPE.0.to_owned()).or_insert_with(|| CALLER_TYPE.1.to_owned());
    let address = given.split_once("://").map_or(given.as_str(), |(_, rest)| rest);
    Ok(Settings { address: address.trim_end_matches('/').to_owned(), options })
}

fn profile(options: &Options) -> Result<ClientConfigProfile, Error> {
    let environment: HashMap<String, String> =
        options.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    check_environment(&environment)?;
    let file = options.config_file.clone().or_else(|| {
        let path = environment.get("TEMPORAL_CONFIG_FILE").filter(|path| !path.is_empty())?;
        Some(path.into())
    });
    if let Some(path) = &file
        && !path.exists()
    {
        return Err(refused(
            &format!("the file {} does not exist", path.display()),
            "check --temporal-config and TEMPORAL_CONFIG_FILE",
        ));
    }
    let source = file.map(|path| DataSource::Path(path.to_string_lossy().into_owned()));
    let load = LoadClientConfigProfileOptions::builder()
        .maybe_config_source(source)
        .maybe_config_file_profile(options.profile.clone())
        .config_file_strict(true)
        .build();
    load_client_config_profile(load, Some(&environment)).map_err(|error| {
        refused(
            &error.to_string(),
            "`temporal config list` and `temporal config get` show the profiles",
        )
    })
}

fn check_environment(environment: &HashMap<String, String>) -> Result<(), Error> {
    for (name, value) in environment {
        if name.starts_with("TEMPORAL_TLS") && !TLS_VARIABLES.contains(&name.as_str()) {
            return Err(refused(
                &format!("the variable {name} is not known"),
                &format!("unset it, or use one of {}", TLS_VARIABLES.join(", ")),
            ));
        }
        let is_boolean =
            ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"].contains(&name.as_str());
        if is_boolean && !["true", "false", "1", "0"].contains(&value.to_lowercase().as_str()) {
            return Err(refused(&format!("{name} is {value:?}"), "set it to true or false"));
        }
        if name == "TEMPORAL_ENV" && !value.is_empty() {
            return Err(refused(
                "TEMPORAL_ENV and the environments of older command lines are not supported",
                "make a profile of it in temporal.toml and set TEMPORAL_PROFILE",
            ));
        }
    }
    Ok(())
}

/// Reads what the client would read too, but without saying which file it could not.
fn read_files(tls: &mut ClientConfigTLS) -> Result<(), Error> {
    let sources = [
        (&mut tls.client_cert, "client certificate"),
        (&mut tls.client_key, "client key"),
        (&mut tls.server_ca_cert, "certificate of the server's authority"),
    ];
    for (source, what) in sources {
        let Some(DataSource::Path(path)) = source else { continue };
        let data = std::fs::read(Path::new(path)).map_err(|error| {
            refused(
                &format!("cannot read the {what} {path}: {error}"),
                "check the path and who may read it",
            )
        })?;
        *source = Some(DataSource::Data(data));
    }
    Ok(())
}

fn refused(what: &str, hint: &str) -> Error {
    Error::Config { what: what.to_owned(), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Options {
        let mut environment: std::collections::BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        // Not the profile of whoever runs the tests.
        environment.entry("TEMPORAL_CONFIG_FILE".into()).or_insert_with(|| "/dev/null".into());
        Options { environment, ..Options::default() }
    }

    fn settled(variables: &[(&str, &str)]) -> Settings {
        settings(&options(variables), None).unwrap()
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        let error = settings(&options(variables), None).err().unwrap();
        format!("{error} ({})", error.hint().unwrap())
    }

    #[test]
    fn without_settings_it_is_a_server_on_this_machine_without_tls() {
        let settings = settled(&[]);
        assert_eq!(settings.address, "localhost:7233");
        assert_eq!(settings.options.target.as_str(), "http://localhost:7233/");
        assert!(settings.options.tls_options.is_none());
        assert_eq!(settings.options.headers.unwrap()["caller-type"], "preemptable");
    }

    #[test]
    fn api_key_switches_tls_on_and_metadata_goes_with_every_call() {
        let settings = settled(&[
            ("TEMPORAL_ADDRESS", "example.tmprl.cloud:7233"),
            ("TEMPORAL_API_KEY", "secret"),
            ("TEMPORAL_GRPC_META_X_TENANT", "blue"),
        ]);
        assert_eq!(settings.options.target.scheme(), "https");
        assert_eq!(settings.options.api_key.as_deref(), Some("secret"));
        assert_eq!(settings.options.headers.unwrap()["x-tenant"], "blue");
    }

    #[test]
    fn profile_is_read_from_its_file_and_the_environment_goes_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("temporal.toml");
        std::fs::write(folder.path().join("ca.pem"), "authority").unwrap();
        let text = format!(
            "[profile.prod]\naddress = \"prod:7233\"\n[profile.prod.tls]\nserver_name = \"t.example\"\n\
             server_ca_cert_path = \"{}\"\n[profile.prod.codec]\nendpoint = \"http://codec\"\nauth = \"Bearer x\"\n",
            folder.path().join("ca.pem").display()
        );
        std::fs::write(&file, text).unwrap();
        let mut options = options(&[]);
        options.config_file = Some(file);
        options.profile = Some("prod".into());
        let settings = settings(&options, Some("token".into())).unwrap();
        let tls = settings.options.tls_options.unwrap();
        assert_eq!(settings.address, "prod:7233");
        assert_eq!(tls.server_root_ca_cert.as_deref(), Some(b"authority".as_slice()));
        assert_eq!(tls.domain.as_deref(), Some("t.example"));
        assert_eq!(settings.options.api_key.as_deref(), Some("token"));
        let codec = codec_server(&options).unwrap();
        assert_eq!(codec.endpoint.as_deref(), Some("http://codec"));
        assert_eq!(codec.authorization.as_deref(), Some("Bearer x"));
        assert!(!format!("{codec:?}").contains("Bearer"));
        options.environment.insert("TEMPORAL_ADDRESS".into(), "other:7233".into());
        assert_eq!(super::settings(&options, None).unwrap().address, "other:7233");
        options.profile = Some("none".into());
        assert!(super::settings(&options, None).err().unwrap().to_string().contains("none"));
    }

    #[test]
    fn what_the_client_would_pass_over_in_silence_is_refused_by_name() {
        for (variables, expected) in [
            (
                [("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")].as_slice(),
                "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
            ),
            (&[("TEMPORAL_TLS", "yes")], "TEMPORAL_TLS is \"yes\""),
            (&[("TEMPORAL_TLS_CA", "/ca")], "TEMPORAL_TLS_CA is not known"),
            (&[("TEMPORAL_ENV", "prod")], "TEMPORAL_PROFILE"),
            (&[("TEMPORAL_CONFIG_FILE", "/nowhere.toml")], "/nowhere.toml does not exist"),
            (&[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere.pem")], "/nowhere.pem"),
            (&[("TEMPORAL_TLS_CLIENT_CERT_DATA", "x")], "certificate and client key"),
            (&[("TEMPORAL_ADDRESS", "http://t:7233"), ("TEMPORAL_API_KEY", "k")], "says http"),
            (&[("TEMPORAL_ADDRESS", "https://t:7233"), ("TEMPORAL_TLS", "false")], "says https"),
        ] {
            let refusal = refusal(variables);
            assert!(refusal.contains(expected), "{refusal} lacks {expected}");
        }
    }

    #[test]
    fn debug_output_shows_names_of_variables_and_no_values() {
        let shown = format!("{:?}", options(&[("TEMPORAL_API_KEY", "hidden")]));
        assert!(shown.contains("TEMPORAL_API_KEY") && !shown.contains("hidden"), "{shown}");
    }
}
