//! Killed at random moments: never a listed backup that does not verify, and the next run
//! succeeds and cleans up. `AIDP_BACKUP_TEST_KILLS` says how often; a few by default.

mod stage;

use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::Rng;
use stage::Stage;

#[test]
fn a_run_killed_at_any_moment_leaves_whole_backups_only() {
    let kills: u32 = std::env::var("AIDP_BACKUP_TEST_KILLS")
        .map_or(12, |text| text.parse().expect("AIDP_BACKUP_TEST_KILLS is a number"));
    let stage = Stage::new();
    stage
        .server
        .psql("shop", "INSERT INTO app.purchase (customer, amount, blob) SELECT 1, i, decode(repeat(md5(i::text || random()), 8), 'hex') FROM generate_series(1, 100000) i")
        .unwrap();
    let begun = Instant::now();
    stage.export(&["--keep-last", "3"]);
    let whole_run = begun.elapsed();
    let mut random = rand::rng();
    let mut survived = 0;
    for number in 0..kills {
        let moment = whole_run.mul_f64(random.random_range(0.0..1.1));
        let mut command =
            stage.command(&["now", "-d", "shop", "--keep-last", "3", "--orphan-grace", "1s"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is the point of this test, so it is not waited for in any other way.
        std::thread::sleep(moment);
        // It may have ended by itself already, which is as good.
        let _ = child.kill();
        survived += u32::from(child.wait().unwrap().success());
        let verified = stage.run(&["verify", "--all"]);
        assert_eq!(verified.code, Some(0), "kill {number} at {moment:?}: {verified:?}");
    }
    assert!(survived < kills, "every one of {kills} kills came after {whole_run:?}");

    // A dead holder on the same host is replaced at once.
    let begun = Instant::now();
    stage.export(&["--keep-last", "3"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    // What the dead have left goes when its grace time is over.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        stage.json(&["prune", "--apply", "--keep-last", "3", "--orphan-grace", "1s"]);
        let ids = stage.ids();
        let orphans = stage.objects("exports").into_iter().filter(|path| {
            let path = path.to_str().unwrap();
            !ids.iter().any(|id| path.contains(id.as_str()))
        });
        let orphans: Vec<_> = orphans.collect();
        if orphans.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{orphans:?}");
    }
    let leftovers = stage.objects(".tmp");
    assert!(leftovers.len() <= kills as usize, "{leftovers:?}");
    stage.json(&["verify", "--all"]);
}
