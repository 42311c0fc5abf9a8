#!/bin/bash
# usage: BIN=folder binaries.sh name@version...
# Builds pinned Go programs from their modules into $BIN and records each version in $BIN/.pins. Times on 2 cores, cold:
# Kubernetes 8 min, CoreDNS 3.5, Helm 2.3, LiveKit 2, storage 1.3, etcd 1, kind 0.2.
set -euo pipefail
BIN=${BIN:?}; MODULES=$BIN/mods
export CGO_ENABLED=0 GOFLAGS=-mod=mod
mkdir -p "$BIN/.pins" "$MODULES"
# one builder at a time: a second one waits and reuses the programs of the first
exec 9> "$BIN/.lock"; flock 9

module() { # name go-version : create a module to build from, because `go install` refuses replace directives
  mkdir -p "$MODULES/$1"; cd "$MODULES/$1"
  rm -f go.mod go.sum tools.go; printf 'module build/%s\ngo %s\n' "$1" "$2" > go.mod
}
go_program() { # name go-version module version package
  module "$1" "$2"
  # a main package can have its own module below the named one
  go get "$5@$4" 2>&1 || go get "$3@$4" 2>&1
  go build -v -ldflags '-s -w' -o "$BIN/$1" "$5" 2>&1
  printf %s "$4" > "$BIN/.pins/$1"
}
kubernetes() { # version program... : the staging modules have v0.$minor.$patch; go.mod replaces them with folders that the zip lacks
  local version=$1 stamp=k8s.io/component-base/version programs=() source name; shift
  local staging=v0.${version#v1.}
  module kubernetes 1.24.0
  source=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
  { printf 'module build/kubernetes\ngo 1.24.0\ngodebug default=go1.24\nrequire k8s.io/kubernetes %s\nreplace (\n' "$version"
    sed -n 's#^\t\(k8s.io/[^ ]*\) => ./staging.*#\t\1 => \1 '"$staging"'#p' "$source"; echo ')'; } > go.mod
  for name in "$@"; do programs+=("k8s.io/kubernetes/cmd/$name"); done
  { printf '//go:build tools\npackage tools\nimport (\n'; printf '_ "%s"\n' "${programs[@]}"; echo ')'; } > tools.go
  go mod tidy 2>&1
  go build -v -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$(cut -d. -f2 <<<"$version")" -o "$BIN/" "${programs[@]}" 2>&1
  for name in "$@"; do printf %s "$version" > "$BIN/.pins/$name"; done
}
build() { # name version
  case $1 in
    kind) go_program kind 1.24.0 sigs.k8s.io/kind "$2" sigs.k8s.io/kind;;
    etcd) go_program etcd 1.24.0 go.etcd.io/etcd/server/v3 "$2" go.etcd.io/etcd/server/v3;;
    coredns) go_program coredns 1.26.0 github.com/coredns/coredns "$2" github.com/coredns/coredns;;
    helm) go_program helm 1.26.0 helm.sh/helm/v3 "$2" helm.sh/helm/v3/cmd/helm;;
    local-path-provisioner) go_program "$1" 1.24.0 github.com/rancher/local-path-provisioner "$2" github.com/rancher/local-path-provisioner;;
    livekit-server) go_program "$1" 1.26.0 github.com/livekit/livekit-server "$2" github.com/livekit/livekit-server/cmd/server;;
    kubeconform) go_program "$1" 1.24.0 github.com/yannh/kubeconform "$2" github.com/yannh/kubeconform/cmd/kubeconform;;
    *) echo "no recipe for $1" >&2; return 1;;
  esac
}
have() { [ -x "$BIN/$1" ] && [ "$(cat "$BIN/.pins/$1" 2>/dev/null)" = "$2" ]; }

k=0; n=$#; kubernetes=(); kubernetes_version=
for pin in "$@"; do
  name=${pin%@*} version=${pin#*@}
  case $name in kube*) [ "$name" = kubeconform ] || { have "$name" "$version" || kubernetes+=("$name"); kubernetes_version=$version; continue; };; esac
  k=$((k + 1)); echo "[$k/$n] $name $version"
  have "$name" "$version" || build "$name" "$version"
done
if [ ${#kubernetes[@]} -gt 0 ]; then
  echo "[$((k + 1))-$n/$n] ${kubernetes[*]} $kubernetes_version"
  kubernetes "$kubernetes_version" "${kubernetes[@]}"
fi
