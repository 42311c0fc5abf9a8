#!/bin/bash
# Builds $IMAGE (kindest/node) from Debian packages, the pinned kind module's files and the programs in programs/.
set -euo pipefail
VERSION=${IMAGE#*:}; REGISTRY=registry.k8s.io; NODE=voicesession-node-build
PROVISIONER=local/local-path-provisioner:v0.0.30
APT='RUN apt-get update && apt-get install -y iptables nftables conntrack ipset kmod curl jq iproute2 && rm -rf /var/lib/apt/lists/*'
export DOCKER_BUILDKIT=1
PACKED=()

image() { # tag base run-line program... : the programs in /usr/local/bin, the first as entry point
  local tag=$1 base=$2 run=$3; shift 3
  rm -rf context; mkdir -p context/bin; cp "$@" context/bin/; chmod 755 context/bin/*
  printf 'FROM %s\n%s\nCOPY bin/ /usr/local/bin/\nENTRYPOINT ["/usr/local/bin/%s"]\n' "$base" "$run" "${1##*/}" > context/Dockerfile
  "$DOCKER" build -q -t "$tag" context; PACKED+=("$tag")
}
also_as() { "$DOCKER" tag "$1" "$2"; PACKED+=("$2"); }

echo "[1/4] node base"
cp -r "$(GOFLAGS=-mod=mod go mod download -json "sigs.k8s.io/kind@$KIND_VERSION" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/images/base/files" files
chmod -R u+w files
"$DOCKER" build --progress=plain -f Dockerfile.base -t voicesession/node-base:local . 2>&1

echo "[2/4] system images"
for c in kube-apiserver kube-controller-manager kube-scheduler; do image "$REGISTRY/$c:$VERSION" scratch "" "programs/$c"; done
# kubeadm 1.34.4 asks for these tags, whatever version is inside
image $REGISTRY/etcd:3.6.5-0 scratch "" programs/etcd
image $REGISTRY/coredns/coredns:v1.12.1 scratch "" programs/coredns
gcc -Os -static -o pause pause.c; image $REGISTRY/pause:3.10 scratch "" ./pause; also_as $REGISTRY/pause:3.10 $REGISTRY/pause:3.10.1
image "$REGISTRY/kube-proxy:$VERSION" debian:bookworm-slim "$APT" programs/kube-proxy
image local/cni-lite:1 debian:bookworm-slim "$APT" ./cni-lite.sh
image $PROVISIONER scratch "" programs/local-path-provisioner
also_as debian:bookworm-slim local/local-path-helper:1

echo "[3/4] node container"
"$DOCKER" rm -f -v $NODE >/dev/null 2>&1 || true
trap '"$DOCKER" rm -f -v $NODE >/dev/null 2>&1' EXIT
"$DOCKER" run -d --name $NODE --entrypoint=sleep --security-opt seccomp=unconfined voicesession/node-base:local infinity >/dev/null
for b in kubeadm kubelet kubectl; do "$DOCKER" cp "programs/$b" $NODE:/usr/bin/$b; done
"$DOCKER" exec $NODE sh -c "chmod 755 /usr/bin/kube*; printf %s $VERSION > /kind/version; mkdir -p /kind/manifests"
for m in default-cni.yaml default-storage.yaml; do "$DOCKER" cp $m $NODE:/kind/manifests/; done

echo "[4/4] packing ${#PACKED[@]} images into the node"
"$DOCKER" exec -d $NODE containerd
for _ in $(seq 60); do "$DOCKER" exec $NODE ctr version >/dev/null 2>&1 && break; sleep 0.5; done
"$DOCKER" save "${PACKED[@]}" | "$DOCKER" exec -i $NODE ctr -n k8s.io images import --all-platforms --no-unpack -
"$DOCKER" exec $NODE pkill containerd
for _ in $(seq 60); do "$DOCKER" exec $NODE pgrep -x containerd >/dev/null || break; sleep 0.5; done
"$DOCKER" commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change "LABEL $STAMP_LABEL=$STAMP" $NODE "$IMAGE"
