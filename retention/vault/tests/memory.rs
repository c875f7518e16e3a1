//! What uploads and reads hold in memory does not grow with what they carry.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use harness::minio::Server;
use vault::{DirStore, Environment, Key, Store};

/// Bytes of each of two objects.
const SIZE: usize = 400 << 20;

/// The most memory this process ever had resident, in MiB (proc(5), `VmHWM`).
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn carry(store: Arc<dyn Store>) {
    let tasks = (0..2_u8).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let at = Key::new(format!("large/{number}")).unwrap();
            let mut upload = store.begin(&at).await.unwrap();
            for _ in 0..SIZE >> 20 {
                upload.write(Bytes::from(vec![number; 1 << 20])).await.unwrap();
            }
            assert_eq!(upload.finish().await.unwrap().size, SIZE as u64);
            let mut pieces = store.read(&at, None).await.unwrap();
            let mut read = 0;
            while let Some(piece) = pieces.try_next().await.unwrap() {
                read += piece.len();
            }
            assert_eq!(read, SIZE);
        })
    });
    for outcome in futures::future::join_all(tasks).await {
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_large_objects_at_once_take_less_than_104_mib() {
    let folder = tempfile::TempDir::new().unwrap();
    carry(Arc::new(DirStore::new(folder.path()))).await;
    assert!(peak_mib() < 48, "a directory took {} MiB", peak_mib());

    let server = Server::start().unwrap();
    server.create_bucket("bucket").unwrap();
    let store = vault::open("s3://bucket/p", &Environment::from_iter(server.env())).await.unwrap();
    carry(store).await;
    assert!(peak_mib() < 104, "S3 took {} MiB", peak_mib());
}
