module aidp-backup.invalid/harness/crds

go 1.24.0

require (
	github.com/external-secrets/external-secrets v0.19.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
