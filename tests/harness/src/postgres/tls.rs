//! Certificates for a server and its clients, made anew for every server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{find, output};
use crate::error::Error;

/// Beginning and end of a certificate that has run out, and of one that has not.
const PAST: [&str; 2] = ["20200101000000Z", "20200102000000Z"];
const LASTING: [&str; 2] = ["20200101000000Z", "20991231000000Z"];

/// How a server offers TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate ran out in the past.
    pub expired: bool,
    /// Connections over TCP without TLS are refused.
    pub required: bool,
    /// Clients must show a certificate of the same authority, made out to the role they log in as.
    pub client_certificate: bool,
}

/// Files of a server's authority and of one client.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate: `sslrootcert`.
    pub ca: PathBuf,
    /// A certificate made out to `postgres`: `sslcert`.
    pub client_certificate: PathBuf,
    /// Its key, mode 0600 and owned by the caller: `sslkey`.
    pub client_key: PathBuf,
    pub(crate) server_certificate: PathBuf,
    pub(crate) server_key: PathBuf,
}

impl Certificates {
    /// Makes an authority, a server certificate for `localhost` and 127.0.0.1, and a client
    /// certificate for `postgres`, in `folder`.
    ///
    /// # Errors
    /// When OpenSSL is missing or fails.
    pub fn make(folder: &Path, tls: Tls) -> Result<Self, Error> {
        let openssl = find("openssl", "making certificates", "apt-get install openssl")?;
        let authority = Authority { openssl, folder: folder.to_owned() };
        authority.found()?;
        let lifetime = if tls.expired { PAST } else { LASTING };
        let (server_certificate, server_key) =
            authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1", lifetime)?;
        let (client_certificate, client_key) =
            authority.sign("client", "postgres", "DNS:postgres", LASTING)?;
        Ok(Self {
            ca: folder.join("ca.crt"),
            client_certificate,
            client_key,
            server_certificate,
            server_key,
        })
    }

    /// Another client certificate of the same authority, and its key: one that ran out in the past.
    ///
    /// # Errors
    /// As [`Certificates::make`].
    pub fn expired_client(&self) -> Result<(PathBuf, PathBuf), Error> {
        let openssl = find("openssl", "making certificates", "apt-get install openssl")?;
        let folder = self.ca.parent().unwrap_or(Path::new(".")).to_owned();
        Authority { openssl, folder }.sign("expired", "postgres", "DNS:postgres", PAST)
    }
}

/// A certificate authority of `openssl ca`: the one command of OpenSSL 1.1 and 3 that takes a
/// certificate's beginning and end as dates, and so makes one that has run out.
struct Authority {
    openssl: PathBuf,
    folder: PathBuf,
}

impl Authority {
    fn found(&self) -> Result<(), Error> {
        let folder = self.folder.display();
        let settings = format!(
            "[ca]\ndefault_ca = harness\n[harness]\ndatabase = {folder}/index.txt\n\
             new_certs_dir = {folder}\nrand_serial = yes\ncertificate = {folder}/ca.crt\n\
             private_key = {folder}/ca.key\ndefault_md = sha256\npolicy = any\n\
             unique_subject = no\n[any]\ncommonName = supplied\n[req]\n\
             distinguished_name = name\n[name]\n[authority]\n\
             basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
             subjectKeyIdentifier = hash\n"
        );
        self.write("openssl.cnf", &settings)?;
        self.write("index.txt", "")?;
        self.openssl(&[
            "req",
            "-x509",
            "-config",
            "openssl.cnf",
            "-extensions",
            "authority",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            "/CN=aidp-backup harness",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        ])
    }

    fn sign(
        &self,
        name: &str,
        subject: &str,
        alternatives: &str,
        [begin, end]: [&str; 2],
    ) -> Result<(PathBuf, PathBuf), Error> {
        let file = |suffix: &str| format!("{name}.{suffix}");
        let [key, request, certificate, extensions] = ["key", "csr", "crt", "ext"].map(file);
        self.write(
            &extensions,
            &format!(
                "subjectAltName = {alternatives}\nbasicConstraints = critical,CA:FALSE\n\
                 extendedKeyUsage = serverAuth,clientAuth\nauthorityKeyIdentifier = keyid\n"
            ),
        )?;
        self.openssl(&[
            "req",
            "-new",
            "-config",
            "openssl.cnf",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &format!("/CN={subject}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ])?;
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "openssl.cnf",
            "-in",
            &request,
            "-out",
            &certificate,
            "-startdate",
            begin,
            "-enddate",
            end,
            "-extfile",
            &extensions,
        ])?;
        Ok((self.folder.join(certificate), self.folder.join(key)))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(Error::io(format!("cannot write {}", path.display())))
    }

    fn openssl(&self, arguments: &[&str]) -> Result<(), Error> {
        output(
            "making a certificate",
            Command::new(&self.openssl).args(arguments).current_dir(&self.folder),
        )
        .map(drop)
    }
}
