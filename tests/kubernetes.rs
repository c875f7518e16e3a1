//! The manifests, on a real API server: strict validation, `restricted` admission, and what the
//! controllers make of a run's exit code. No node runs here, so a pod's end is written by hand.

mod cluster;

use std::process::Command;

use cluster::{Cluster, NAMESPACE, folder, ran};
use serde_json::Value;

/// What a kubelet would do.
trait Pods {
    /// Starts a run by hand, as an operator does, and gives the name of its pod.
    fn run(&self, job: &str) -> String;
    /// The job's one pod that has not ended.
    fn pod(&self, job: &str) -> String;
    /// Reports that a pod's container ended so.
    fn end(&self, pod: &str, exit_code: i32, conditions: &Value);
}

impl Pods for Cluster {
    fn run(&self, job: &str) -> String {
        self.kubectl(&["create", "job", "--from=cronjob/aidp-backup-export", job]);
        self.kubectl(&["wait", "--for=jsonpath={.status.active}=1", &format!("job/{job}")]);
        self.pod(job)
    }

    fn pod(&self, job: &str) -> String {
        let label = format!("job-name={job}");
        let pods = self.json(&["get", "pods", "-l", &label]);
        let running = pods["items"].as_array().unwrap().iter().find(|pod| {
            pod["metadata"]["deletionTimestamp"].is_null()
                && !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
        });
        running.unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
    }

    fn end(&self, pod: &str, exit_code: i32, conditions: &Value) {
        let phase = if exit_code == 0 { "Succeeded" } else { "Failed" };
        let status = serde_json::json!({"status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{
                "name": "aidp-backup", "image": "aidp-backup", "imageID": "", "ready": false,
                "restartCount": 0,
                "state": {"terminated": {"exitCode": exit_code, "reason": phase}},
            }],
        }});
        let patch = status.to_string();
        self.kubectl(&["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &patch]);
    }
}

/// Every folder that holds a kustomization below `overlays`.
fn overlays() -> Vec<String> {
    let entries = std::fs::read_dir(folder().join("overlays")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| format!("overlays/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    names.sort();
    names
}

#[test]
fn an_api_server_takes_every_overlay_and_its_controllers_obey_the_exit_codes() {
    let cluster = Cluster::start();

    // Strict validation and `restricted` admission, without a warning.
    let overlays = overlays();
    assert_eq!(overlays.len(), 6, "{overlays:?}");
    for overlay in &overlays {
        cluster.apply(overlay);
    }
    cluster.apply("worker");
    // The last one decides about what they share: what follows is about CronJobs with a claim.
    cluster.apply("overlays/cronjob");

    // A pod with more rights than `restricted` allows is refused here.
    let mut privileged = cluster.0.kubectl(&["-n", NAMESPACE, "run", "root", "--image=x"]);
    let refused = privileged.output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("restricted"), "{refused:?}");

    // A strict server refuses a field that does not exist.
    let typo = cluster.0.kubectl(&["-n", NAMESPACE, "patch", "cronjob", "aidp-backup-export"]);
    let mut typo = typo;
    typo.args(["--type=merge", "-p", r#"{"spec":{"timezone":"UTC"}}"#]);
    let warned = typo.output().unwrap();
    assert!(String::from_utf8_lossy(&warned.stderr).contains("unknown field"), "{warned:?}");

    // 0: done.
    let pod = cluster.run("good");
    cluster.end(&pod, 0, &Value::Array(vec![]));
    cluster.wait("good", "condition=Complete");

    // 2 and 4 fail the run at once, without a second try.
    for exit_code in [2, 4] {
        let job = format!("exit-{exit_code}");
        let pod = cluster.run(&job);
        cluster.end(&pod, exit_code, &Value::Array(vec![]));
        cluster.wait(&job, "condition=Failed");
        let status = cluster.json(&["get", "job", &job])["status"].clone();
        assert_eq!(status["failed"], 1, "{status}");
        let reasons = status["conditions"].to_string();
        assert!(reasons.contains("PodFailurePolicy"), "{reasons}");
    }

    // 1, 3 and 5 are counted and tried again.
    for exit_code in [1, 3, 5] {
        let job = format!("exit-{exit_code}");
        let pod = cluster.run(&job);
        cluster.end(&pod, exit_code, &Value::Array(vec![]));
        cluster.wait(&job, "jsonpath={.status.failed}=1");
        cluster.wait(&job, "jsonpath={.status.active}=1");
        assert_ne!(cluster.pod(&job), pod, "another pod tries again");
    }

    // A node that goes away does not count as a failure.
    let pod = cluster.run("drained");
    let drained = serde_json::json!([{"type": "DisruptionTarget", "status": "True"}]);
    cluster.end(&pod, 137, &drained);
    cluster.kubectl(&["wait", "--for=jsonpath={.status.phase}=Failed", &format!("pod/{pod}")]);
    cluster.wait("drained", "jsonpath={.status.active}=1");
    let status = cluster.json(&["get", "job", "drained"])["status"].clone();
    assert!(status["failed"].is_null() || status["failed"] == 0, "{status}");

    readme(&cluster);
}

/// The commands of k8s/README.md, as they stand, from the top of the checkout.
fn readme(cluster: &Cluster) {
    cluster.kubectl(&["delete", "cronjob,deployment,job,secret", "--all", "--cascade=background"]);
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect();
    assert!(blocks.len() > 3, "README has commands");
    let path = std::env::var("PATH").unwrap();
    for block in blocks {
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("KUBECONFIG", cluster.0.kubeconfig())
            .env("PATH", format!("{}:{path}", cluster.0.bin().display()));
        ran(shell);
    }
}
