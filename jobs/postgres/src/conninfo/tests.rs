use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        home: None,
        user: Some("me".to_owned()),
    }
}

fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<ConnInfo, Error> {
    ConnInfo::resolve(Some(text), &environment(variables))
}

#[track_caller]
fn refused(text: &str, variables: &[(&str, &str)], part: &str) {
    let error = resolve(text, variables).unwrap_err();
    assert!(error.to_string().contains(part), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn defaults_are_libpqs() {
    let info = resolve("host=h", &[]).unwrap();
    assert_eq!(info.to_string(), "database \"me\" at h:5432 as role \"me\"");
    assert_eq!(info.tls().mode, SslMode::Prefer);
    assert_eq!(resolve("host=h user=u", &[]).unwrap().database(), "u");
}

#[test]
fn string_beats_service_beats_variable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[s]\nhost=service\nport=2\nuser=service\n").unwrap();
    let path = file.path().display().to_string();
    let info = resolve(
        "user=string service=s",
        &[
            ("PGHOST", "variable"),
            ("PGUSER", "variable"),
            ("PGDATABASE", "variable"),
            ("PGSERVICEFILE", &path),
        ],
    )
    .unwrap();
    assert_eq!(info.to_string(), "database \"variable\" at service:2 as role \"string\"");
}

#[test]
fn an_empty_value_hides_the_variable() {
    let info = resolve("host=h dbname=''", &[("PGDATABASE", "variable")]).unwrap();
    assert_eq!(info.database(), "me");
}

#[test]
fn hosts_ports_and_addresses_pair_up() {
    let names =
        |text| resolve(text, &[]).unwrap().hosts().iter().map(Host::to_string).collect::<Vec<_>>();
    assert_eq!(names("host=a,b port=1,2"), ["a:1", "b:2"]);
    assert_eq!(names("host=a,b port=1"), ["a:1", "b:1"]);
    assert_eq!(names("host=a,b port=1,"), ["a:1", "b:5432"]);
    assert_eq!(names("hostaddr=::1 port=1"), ["[::1]:1"]);
    assert_eq!(names("host=/s port=1"), ["/s:1"]);
    refused("host=a,b port=1,2,3", &[], "3 ports for 2 hosts");
    refused("host=a,b hostaddr=1.1.1.1", &[], "hostaddr");
    refused("hostaddr=name", &[], "not a numeric address");
    refused("host=a port=0", &[], "invalid port");
    refused("host=a port=x", &[], "invalid port");
}

#[test]
fn passwords_come_from_the_first_source_that_has_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from-file\n").unwrap();
    let path = file.path().display().to_string();
    let password = |text: &str, variables: &[(&str, &str)]| {
        resolve(text, variables).unwrap().hosts()[0].password.clone().unwrap().expose().to_owned()
    };
    assert_eq!(password("host=h password=p", &[("PGPASSWORD", "v")]), "p");
    assert_eq!(password("host=h", &[("PGPASSWORD", "v"), ("PGPASSWORD_FILE", &path)]), "v");
    assert_eq!(password("host=h", &[("PGPASSWORD_FILE", &path)]), "from-file");
    refused("host=h", &[("PGPASSWORD_FILE", "/nonexistent")], "PGPASSWORD_FILE");
}

#[test]
fn password_files_are_looked_up_for_each_database() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "h:5432:a:me:for-a\nh:5432:b:me:for-b\n").unwrap();
    let info =
        resolve(&format!("host=h dbname=a passfile={}", file.path().display()), &[]).unwrap();
    let password = |info: &ConnInfo| info.hosts()[0].password.clone().unwrap().expose().to_owned();
    assert_eq!(password(&info), "for-a");
    assert_eq!(password(&info.with_database("b").unwrap()), "for-b");
}

#[test]
fn nothing_prints_a_password() {
    let info = resolve("postgresql://u:hush@h/d", &[("PGPASSWORD", "hush")]).unwrap();
    let printed = format!("{info} {info:?} {:?} {:?}", info.hosts(), info.clone());
    assert!(!printed.contains("hush"), "{printed}");
}

#[test]
fn system_roots_ask_for_full_verification() {
    let info = resolve("host=h sslrootcert=system", &[]).unwrap();
    assert_eq!((info.tls().mode, &info.tls().roots), (SslMode::VerifyFull, &Roots::System));
    refused("host=h sslrootcert=system sslmode=verify-ca", &[], "verify-full");
    refused("host=h sslmode=verify-full", &[], "no root certificates");
    refused("host=h sslmode=verify-ca sslrootcert=/nonexistent", &[], "/nonexistent");
    refused("host=h sslmode=sometimes", &[], "sometimes");
}

#[test]
fn private_keys_open_to_others_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let key = tempfile::NamedTempFile::new().unwrap();
    let text = format!("host=h sslmode=require sslcert=/c sslkey={}", key.path().display());
    let mode = |mode| {
        std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        resolve(&text, &[])
    };
    assert!(mode(0o600).unwrap().tls().client.is_some());
    assert!(mode(0o644).unwrap_err().to_string().contains("group or world access"));
}

#[test]
fn unknown_and_unsupported_settings_are_named() {
    refused("host=h hots=x", &[], "\"hots\"");
    refused("host=h", &[("PGGSSENCMODE", "require")], "gssencmode");
    refused("host=h load_balance_hosts=random", &[], "load_balance_hosts");
    refused("host=h sslnegotiation=direct", &[], "sslnegotiation");
    refused("host=h target_session_attrs=master", &[], "master");
    refused("host=h connect_timeout=soon", &[], "connect_timeout");
    refused("host=h options='-E x'", &[], "-E");
}

#[test]
fn server_options_are_split_as_the_server_does() {
    assert_eq!(
        server_options(r"-c geqo=off --work-mem=4MB -csearch_path=a\ b").unwrap(),
        [("geqo", "off"), ("work_mem", "4MB"), ("search_path", "a b")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn short_timeouts_are_raised_to_two_seconds() {
    let timeout = |text: &str| {
        resolve(&format!("host=h connect_timeout={text}"), &[]).unwrap().connect_timeout
    };
    assert_eq!(timeout("1"), Some(Duration::from_secs(2)));
    assert_eq!(timeout("10"), Some(Duration::from_secs(10)));
    assert_eq!(timeout("0"), None);
    assert_eq!(timeout("-1"), None);
}
