//! Messages as mail, by SMTP.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::config::{MailSecurity, MailSettings};

/// Longest that the server is waited for at each step.
const WITHIN: Duration = Duration::from_secs(10);

/// Sends a message; its first line is the subject.
pub async fn send(settings: MailSettings, text: String) -> Result<(), String> {
    let transport = transport(&settings).map_err(|error| jobs::chain(&error))?;
    let message = message(&settings, text).map_err(|error| jobs::chain(&error))?;
    transport.send(message).await.map(drop).map_err(|error| jobs::chain(&error))
}

fn message(settings: &MailSettings, text: String) -> Result<Message, lettre::error::Error> {
    let subject = text.lines().next().unwrap_or_default().to_owned();
    let mut message = Message::builder().from(settings.from.clone()).subject(subject);
    for to in &settings.to {
        message = message.to(to.clone());
    }
    message.header(ContentType::TEXT_PLAIN).body(text)
}

fn transport(
    settings: &MailSettings,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let (host, port) = &settings.server;
    let parameters = || {
        let mut builder = TlsParameters::builder(host.clone());
        if let Some(pem) = &settings.authorities {
            builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
        }
        builder.build()
    };
    let tls = match settings.security {
        MailSecurity::Starttls => Tls::Required(parameters()?),
        MailSecurity::Tls => Tls::Wrapper(parameters()?),
        MailSecurity::None => Tls::None,
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
        .port(*port)
        .timeout(Some(WITHIN))
        .tls(tls);
    if let Some((user, password)) = &settings.login {
        let password = password.expose().to_owned();
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    Ok(transport.build())
}
