#!/bin/bash
# inside.sh, started by outside.sh: containerd and the kubelet. /run and what they write outside of FOLDER is private.
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/containerd /var/lib/cni /var/log/containers
mount -t tmpfs tmpfs /var/lib/cni
mount -t tmpfs tmpfs /var/log/containers
# Limits of containers are set no higher than these, which a machine's own limit may not let them.
ulimit -n "$(ulimit -H -n)"
address=/run/containerd/containerd.sock
containerd --config "$FOLDER/containerd.toml" > "$FOLDER/containerd.log" 2>&1 &
until ctr --address "$address" version > /dev/null 2>&1; do
    kill -0 $! || exit 1
    sleep 0.05
done
for image in "$FOLDER"/images/*.tar; do
    ctr --address "$address" --namespace k8s.io images import "$image"
done
exec "$FOLDER/kubelet.bin" --config="$FOLDER/kubelet.yaml" --kubeconfig="$FOLDER/kubeconfig" \
    --root-dir="$FOLDER/kubelet" --cert-dir="$FOLDER/certificates" --hostname-override=node --node-ip="$NET.2" \
    > "$FOLDER/kubelet.log" 2>&1
