//! The harness's made-up store, written by other code after the same description.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use harness::history_fixture::Histories;
use temporal::bloom::Bloom;
use temporal::segment::{Checker, entries, history, read_line};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[tokio::test]
async fn segments_written_after_the_description_are_whole() {
    let store = tempfile::tempdir().unwrap();
    let histories = Histories::new(2_500, 3);
    histories.write(store.path()).unwrap();
    let (mut runs, mut wanted) = (0, 0);
    let one = histories.run(1_234);
    for day in files(&store.path().join("histories/default")) {
        let [index, data] = &files(&day)[..] else { panic!("{day:?}") };
        let (index, data) = (fs::read(index).unwrap(), Bytes::from(fs::read(data).unwrap()));
        let mut checker = Checker::new(&index).unwrap();
        checker.feed(&data).unwrap();
        runs += checker.finish().unwrap().runs;
        for entry in entries(&index).unwrap().map(Result::unwrap) {
            if entry.summary.run_id == one.run_id {
                assert_eq!(entry.summary.workflow_id, one.workflow_id);
                assert_eq!(day.file_name().unwrap(), one.day.as_str());
                let line = read_line(&data, &entry).await.unwrap();
                assert!(history(&line).unwrap().starts_with(b"{\"events\":[{\"eventId\":\"1\""));
                wanted += 1;
            }
        }
    }
    assert_eq!((runs, wanted), (2_500, 1));
    for manifest in files(&store.path().join("manifests/histories/default")) {
        let document: serde_json::Value =
            serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
        let segment = &document["manifest"]["segments"][0];
        let bloom = Bloom::decode(segment["bloom"].as_str().unwrap()).unwrap();
        let here = document["manifest"]["day"] == one.day.as_str();
        assert!(!here || bloom.may_contain(&one.run_id) && bloom.may_contain(&one.workflow_id));
    }
}
