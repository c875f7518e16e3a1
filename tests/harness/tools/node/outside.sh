#!/bin/bash
# outside.sh FOLDER LINK NET OWNER: a node of Kubernetes in network, mount and process namespaces of its own.
# Whoever owns it (a process id) reaches it by the link: the owner is NET.1, the node NET.2, pods are above NET.128.
# When this process dies, everything in the namespaces does, and the link with them.
set -eu
export FOLDER=$1 LINK=$2 NET=$3 OWNER=$4
exec unshare --net bash -euc '
outside() { nsenter --target "$OWNER" --net -- "$@"; }
ip link set lo up
ip link add eth0 type veth peer name "$LINK" netns "$OWNER"
outside ip addr add "$NET.1/30" dev "$LINK"
outside ip link set "$LINK" up
outside ip route add "$NET.128/25" via "$NET.2"
ip addr add "$NET.2/30" dev eth0
ip link set eth0 up
ip route add default via "$NET.1"
echo 1 > /proc/sys/net/ipv4/ip_forward
# Version 2 of control groups has one tree, version 1 one a controller.
top=/sys/fs/cgroup
if [ -e "$top/cgroup.controllers" ]; then
    for controller in $(cat "$top/cgroup.controllers"); do echo "+$controller" > "$top/cgroup.subtree_control"; done
    mkdir "$top/$LINK"
else
    for controller in "$top"/*/; do mkdir "$controller/$LINK"; done
    # A new cpuset is empty, and takes no process until it has been filled.
    for file in cpuset.cpus cpuset.mems; do cat "$top/cpuset/$file" > "$top/cpuset/$LINK/$file"; done
fi
touch "$FOLDER/linked"
exec unshare --mount --pid --fork --kill-child --mount-proc bash "$FOLDER/inside.sh"
'
