#!/bin/bash
# Builds $IMAGE (debian:bookworm-slim) with debootstrap from the mirror this machine's own apt uses.
set -euo pipefail
WORK=$(mktemp -d); trap 'rm -rf "$WORK"' EXIT; ROOT=$WORK/root
sources=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=$(sed -n 's/^URIs: *//p;s/^deb \(\[.*\] \)\?\([^ ]*\) bookworm main.*/\2/p' <<<"$sources" | sed -n 1p)
echo "[1/3] debootstrap"
debootstrap --variant=minbase --include=ca-certificates bookworm "$ROOT" "$mirror"
echo "[2/3] leaving out documentation, translations and package lists"
printf 'path-exclude /usr/share/%s/*\n' doc man info locale lintian > "$ROOT/etc/dpkg/dpkg.cfg.d/01slim"
printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n' > "$ROOT/etc/apt/apt.conf.d/99slim"
printf 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\n' > "$ROOT/etc/apt/apt.conf.d/98clean"
rm -rf "$ROOT"/var/cache/apt/* "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/log/* "$ROOT"/tmp/* "$ROOT"/usr/share/{doc,man,info,locale,lintian}/*
echo "[3/3] importing $IMAGE"
tar -C "$ROOT" -c . | "$DOCKER" import --change 'CMD ["bash"]' --change "LABEL $STAMP_LABEL=$STAMP" - "$IMAGE"
